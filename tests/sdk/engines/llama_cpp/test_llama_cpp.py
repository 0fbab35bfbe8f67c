"""llama.cpp's server, with the model of `llama_cpp/tiny_model.py`."""

import json
import os
import unittest
import urllib.request

from engine import Engine
from suites import (
    Chat,
    Completions,
    Embeddings,
    Errors,
    Leaving,
    Models,
    Rerank,
    Streaming,
    Tools,
)

CHAT = os.environ["LLAMA_CHAT_URL"]


class LlamaCpp(Chat, Streaming, Completions, Tools, Embeddings, Rerank, Models, Errors, Leaving, Engine):
    adapter = "llamacpp"
    urls = {"chat": CHAT, "embedding": os.environ["LLAMA_EMBED_URL"],
            "rerank": os.environ["LLAMA_RERANK_URL"]}
    names = dict.fromkeys(urls, "tiny")
    always = {"extra_body": {"cache_prompt": False}}
    answering = {"tool_choice": "none"}
    wrong = [{"messages": "none"}, {"tools": 1}, {"extra_body": {"grammar": "root ::= ("}}]
    # At some thousand tokens a second, long enough to be seen at work.
    endless = {"max_tokens": 60_000, "extra_body": {"ignore_eos": True}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        [token] = cls.ask("/tokenize", {"content": "<tool_call>\n"})["tokens"]
        # So that a model of random weights calls a function.
        cls.calling = {"tool_choice": "required", "logit_bias": {str(token): 100}, "max_tokens": 160}

    @staticmethod
    def ask(path, body=None):
        body = body and json.dumps(body).encode()
        with urllib.request.urlopen(CHAT + path, body, timeout=60) as answer:
            return json.load(answer)

    def busy(self):
        return sum(slot["is_processing"] for slot in self.ask("/slots"))


if __name__ == "__main__":
    unittest.main()
