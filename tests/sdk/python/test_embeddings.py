"""Embeddings over both wires."""

import unittest

from support import ADAPTERS, client, control
from upstreams.scripts import PROMPT_TOKENS, vector

TEXTS = ["one", "two words", "drei Wörter 🦀 mehr"]


class Embeddings(unittest.TestCase):
    def setUp(self):
        self.client = client()
        self.addCleanup(self.client.close)

    def check(self, adapter, **more):
        answer = self.client.embeddings.create(model=f"{adapter}-embed", input=TEXTS, **more)
        self.assertEqual([item.embedding for item in answer.data], [vector(text) for text in TEXTS])
        self.assertEqual([item.index for item in answer.data], [0, 1, 2])
        self.assertEqual(answer.usage.prompt_tokens, PROMPT_TOKENS)

    def test_the_sdks_default_is_decoded_from_base64(self):
        for adapter in ADAPTERS:
            with self.subTest(adapter):
                self.check(adapter)
        # The SDK asked for base64 by itself.
        self.assertEqual(control("normal", "last")["body"]["encoding_format"], "base64")

    def test_floats_arrive_as_floats(self):
        for adapter in ADAPTERS:
            with self.subTest(adapter):
                self.check(adapter, encoding_format="float")

    def test_one_text_is_one_embedding(self):
        for adapter in ADAPTERS:
            with self.subTest(adapter):
                answer = self.client.embeddings.create(model=f"{adapter}-embed", input="one")
                [item] = answer.data
                self.assertEqual(item.embedding, vector("one"))


if __name__ == "__main__":
    unittest.main()
