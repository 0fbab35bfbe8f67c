"""The list of models, and one of them."""

import unittest

import openai
from support import client


class Models(unittest.TestCase):
    def setUp(self):
        self.client = client()
        self.addCleanup(self.client.close)

    def test_every_name_of_the_configuration_is_listed_once(self):
        names = [model.id for model in self.client.models.list()]
        for name in ["normal-text", "ollama-text", "ollama-embed", "acme/tiny:1.5b"]:
            self.assertEqual(names.count(name), 1, name)
        self.assertNotIn("text", names, "an instance's own name is not the caller's")

    def test_a_listed_model_can_be_retrieved(self):
        for model in self.client.models.list():
            self.assertEqual(self.client.models.retrieve(model.id), model)

    def test_no_other_model_can(self):
        with self.assertRaises(openai.NotFoundError) as raised:
            self.client.models.retrieve("acme/tiny")
        self.assertEqual(raised.exception.code, "model_not_found")


if __name__ == "__main__":
    unittest.main()
