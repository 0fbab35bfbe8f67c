"""A model that draws a vector by what it is asked: the same one for the same text."""

import json
import random

import numpy as np
import triton_python_backend_utils as triton

WIDTH = 384


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            asked = triton.get_input_tensor_by_name(request, "embedding_request").as_numpy()
            text = json.loads(asked.reshape(-1)[0])["input"]
            drawn = random.Random(str(text))
            vector = json.dumps([round(drawn.uniform(-1, 1), 6) for _ in range(WIDTH)])
            sender = request.get_response_sender()
            sender.send(triton.InferenceResponse([
                triton.Tensor("text_output", np.array([vector.encode()], dtype=object)),
                triton.Tensor("num_input_tokens", np.array([len(text.split())], dtype=np.uint32))]))
            sender.send(flags=triton.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
