"""Triton, with the models of `models/`: one has TensorRT-LLM's tensors, one those of vLLM's embeddings.

Triton knows no OpenAI's words, so what it says directly are texts, and those are what is compared.
"""

import json
import os
import pathlib
import unittest
import urllib.error
import urllib.request

import openai
from engine import QUESTION, Engine
from suites import Leaving, Models

URL, MODELS = os.environ["TRITON_URL"], pathlib.Path(os.environ["TRITON_MODELS"])
# Its template is ChatML.
PROMPT = f"<|im_start|>user\n{QUESTION[0]['content']}<|im_end|>\n<|im_start|>assistant\n"


def generate(verb="generate", model="random-text", **inputs):
    """What Triton itself says: its status, and its JSON objects."""
    request = urllib.request.Request(
        f"{URL}/v2/models/{model}/{verb}", json.dumps(inputs).encode())
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            status, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            status, text = error.code, error.read().decode()
    return status, [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line]


class Triton(Models, Leaving, Engine):
    adapter = "triton"
    urls = {"chat": URL}
    names = {"chat": "random-text"}
    options = {"template": "chatml", "inputs": ",".join([
        "text_input", "max_tokens", "stop_words", "bad_words", "temperature", "top_k", "top_p", "seed",
        "stream", "exclude_input_in_output", "return_num_input_tokens", "return_num_output_tokens"])}
    endless = {"max_tokens": 50_000}

    def create(self, **asked):
        return self.through.chat.completions.create(
            model="gateway/chat", **{"messages": QUESTION, "max_tokens": 30, **asked})

    def test_an_answer_is_the_text_of_tritons(self):
        status, [direct] = generate(text_input=PROMPT, max_tokens=30)
        self.assertEqual(status, 200)
        answer = self.create()
        self.assertEqual(answer.object, "chat.completion")
        self.assertEqual(answer.choices[0].message.content, direct["text_output"])
        self.assertEqual(answer.choices[0].finish_reason, "length")
        self.assertEqual(answer.usage.prompt_tokens, direct["num_input_tokens"])
        self.assertEqual(answer.usage.completion_tokens, 30)

    def test_a_stream_is_tritons_piece_for_piece(self):
        _, events = generate("generate_stream", text_input=PROMPT, max_tokens=30, stream=True)
        direct = [event["text_output"] for event in events]
        chunks = list(self.create(stream=True, stream_options={"include_usage": True}))
        pieces = [chunk.choices[0].delta.content for chunk in chunks
                  if chunk.choices and chunk.choices[0].delta.content]
        self.assertEqual(pieces, direct)
        self.assertEqual("".join(pieces), self.create().choices[0].message.content)
        self.assertEqual(chunks[-1].usage.completion_tokens, 30)
        self.assertEqual(chunks[-2].choices[0].finish_reason, "length")

    def test_a_text_to_stop_at_is_not_told(self):
        _, [whole] = generate(text_input=PROMPT, max_tokens=30)
        word = whole["text_output"].split()[5]
        _, [direct] = generate(text_input=PROMPT, max_tokens=30, stop_words=[word])
        self.assertTrue(direct["text_output"].endswith(word), "Triton leaves it")
        answer = self.create(stop=word)
        self.assertEqual(answer.choices[0].message.content, direct["text_output"].removesuffix(word))
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        chunks = self.create(stop=[word], stream=True)
        pieces = [chunk.choices[0].delta.content or "" for chunk in chunks]
        self.assertEqual("".join(pieces), answer.choices[0].message.content)

    def test_completions_are_the_texts_of_tritons(self):
        _, [direct] = generate(text_input="Once upon a time", max_tokens=16)
        asked = {"model": "gateway/chat", "prompt": "Once upon a time"}
        answer = self.through.completions.create(**asked)
        self.assertEqual(answer.choices[0].text, direct["text_output"])
        chunks = self.through.completions.create(**asked, stream=True)
        self.assertEqual("".join(chunk.choices[0].text for chunk in chunks), direct["text_output"])

    def test_what_triton_has_no_input_for_is_refused_by_its_name(self):
        for param, value in [("tools", [{"type": "function", "function": {"name": "f"}}]),
                             ("logprobs", True), ("presence_penalty", 0.5)]:
            with self.subTest(param), self.assertRaises(openai.BadRequestError) as raised:
                self.create(**{param: value})
            self.assertEqual(raised.exception.param, param)

    def test_a_failure_of_the_model_is_told_in_its_words(self):
        asked = {"messages": [{"role": "user", "content": "this fails"}]}
        status, [direct] = generate(text_input="this fails", max_tokens=3)
        self.assertEqual(status, 400)
        with self.assertRaises(openai.BadRequestError) as raised:
            self.create(**asked)
        self.assertIn(direct["error"], raised.exception.message)
        said = ""
        with self.assertRaises(openai.APIError) as raised:
            for chunk in self.create(stream=True, **asked):
                said += chunk.choices[0].delta.content or ""
        self.assertEqual(said, "at first", "what came before")
        self.assertIn(direct["error"], raised.exception.message)

    def test_a_failure_before_anything_is_said_has_its_status(self):
        prompt = "this fails at once"
        status, [direct] = generate("generate_stream", text_input=prompt, max_tokens=3, stream=True)
        self.assertEqual(status, 400)
        with self.assertRaises(openai.BadRequestError) as raised:
            self.create(messages=[{"role": "user", "content": prompt}], stream=True)
        self.assertIn(direct["error"], raised.exception.message)

    def listed(self):
        request = urllib.request.Request(f"{URL}/v2/repository/index", b"{}")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return {model["name"] for model in json.load(answer)}

    def test_models_are_listed_by_their_names(self):
        self.assertIn("random-text", self.listed())
        self.assertEqual([model.id for model in self.through.models.list()], ["gateway/chat"])

    def busy(self):
        return len(list((MODELS / "random-text" / "working").glob("*")))


class TritonEmbeddings(Engine):
    adapter = "triton"
    urls = {"embedding": URL}
    names = {"embedding": "random-embed"}
    options = {"dialect": "vllm"}

    def test_an_embedding_is_the_one_of_tritons(self):
        asked = json.dumps({"input": "zwei 🦀"})
        _, [direct] = generate(model="random-embed", embedding_request=asked)
        vector = json.loads(direct["text_output"])
        for form in ("float", "base64"):
            with self.subTest(form):
                # The SDK reads base64 itself where it has asked for it.
                more = {"encoding_format": form} if form == "float" else {}
                answer = self.through.embeddings.create(
                    model="gateway/embedding", input="zwei 🦀", **more)
                told = answer.data[0].embedding
                self.assertEqual([round(number, 6) for number in told], vector)
                self.assertEqual(answer.usage.prompt_tokens, direct["num_input_tokens"])

    def test_several_texts_are_refused(self):
        with self.assertRaises(openai.BadRequestError) as raised:
            self.through.embeddings.create(model="gateway/embedding", input=["eins", "zwei"])
        self.assertEqual(raised.exception.param, "input")


if __name__ == "__main__":
    unittest.main()
