"""A model that writes words drawn by what it is asked: the same answer to the same question.

It stands where TensorRT-LLM would: its tensors have those names, it streams what is new, stops at the
words it is given and leaves the one it stopped at in its text.
"""

import pathlib
import random
import time

import numpy as np
import triton_python_backend_utils as triton

WORDS = ["each", "one", "piece", "after", "another", "none", "naïve", "über", "мир", "日本", "🦀"]
# One file for each answer at work.
WORKING = pathlib.Path(__file__).parent.parent / "working"


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            mark = WORKING / str(id(sender))
            WORKING.mkdir(exist_ok=True)
            mark.touch()
            try:
                self.answer(request, sender)
            except triton.TritonModelException:
                # Who asked is not there any more.
                pass
            finally:
                mark.unlink()
                sender.send(flags=triton.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def answer(self, request, sender):
        def given(name, otherwise):
            tensor = triton.get_input_tensor_by_name(request, name)
            return [otherwise] if tensor is None else tensor.as_numpy().reshape(-1).tolist()

        def fail(message):
            sender.send(triton.InferenceResponse(error=triton.TritonError(message)))

        def send(text, count):
            tensors = [("text_output", text.encode(), object), ("num_input_tokens", asked, np.int32),
                       ("num_output_tokens", count, np.int32)]
            sender.send(triton.InferenceResponse(
                [triton.Tensor(name, np.array([value], dtype=kind)) for name, value, kind in tensors]))

        [prompt], [limit] = given("text_input", b""), given("max_tokens", 0)
        [stream] = given("stream", False)
        prompt = prompt.decode()
        asked = len(prompt.split())
        stops = [stop.decode() for stop in given("stop_words", b"") if stop]
        if not 0 < limit:
            return fail("max_tokens must be above 0")
        if "this fails" in prompt:
            if stream and "at once" not in prompt:
                send("at first", 2)
            return fail("it failed as it was asked to")
        said, drawn = "", random.Random(prompt)
        for at in range(limit):
            if request.is_cancelled():
                return
            word = (" " if at else "") + drawn.choice(WORDS)
            said += word
            if stream:
                send(word, 1)
                time.sleep(0.005)
            if any(said.endswith(stop) for stop in stops):
                break
        if not stream:
            send(said, at + 1)
