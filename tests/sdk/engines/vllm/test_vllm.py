"""vLLM, with the models of `tiny_hf.py`, a server for each."""

import json
import os
import re
import unittest
import urllib.request

from engine import QUESTION, Engine, settled
from suites import Chat, Completions, Embeddings, Errors, Leaving, Models, Rerank, Streaming, Tools

CHAT = os.environ["VLLM_CHAT_URL"]
SCHEMA = {"type": "object", "required": ["city", "sunny"],
          "properties": {"city": {"enum": ["Zürich", "Oslo"]}, "sunny": {"type": "boolean"}}}


def post(url, body):
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


class Vllm(Chat, Streaming, Completions, Tools, Models, Errors, Leaving, Engine):
    adapter = "vllm"
    urls = {"chat": CHAT}
    names = {"chat": "random-chat"}
    wrong = [{"messages": "none"}, {"messages": []}, {"tools": 1}, {"temperature": -1},
             {"max_tokens": -1}, {"max_tokens": 100_000}]
    endless = {"max_tokens": 7_000, "extra_body": {"ignore_eos": True}}

    def test_a_schema_is_kept(self):
        form = {"type": "json_schema", "json_schema": {"name": "weather", "schema": SCHEMA}}
        answer = self.chat(response_format=form, max_tokens=200)
        self.assertEqual(set(json.loads(answer.choices[0].message.content)), {"city", "sunny"})

    def test_the_older_names_of_forms_are_understood(self):
        # vLLM itself ignores them by now, so what it is asked directly has their newer name.
        for older, form in [("guided_choice", {"choice": ["Zürich", "Oslo"]}),
                            ("guided_json", {"json": SCHEMA})]:
            [value] = form.values()
            asked = {"messages": QUESTION, "temperature": 0, "max_tokens": 200}
            through = self.through.chat.completions.create(
                model="gateway/chat", extra_body={older: value}, **asked)
            direct = self.direct["chat"].chat.completions.create(
                model="random-chat", extra_body={"structured_outputs": form}, **asked)
            self.assertEqual(settled(through), settled(direct))
            self.assertRegex(through.choices[0].message.content, "Zürich|Oslo")

    def test_what_only_this_server_knows_passes(self):
        answer = self.chat(max_tokens=5, logprobs=True, top_logprobs=3,
                           extra_body={"min_tokens": 5, "return_token_ids": True})
        self.assertEqual(len(answer.choices[0].logprobs.content), 5)
        self.assertEqual(len(answer.choices[0].token_ids), 5)

    def test_responses_are_the_engines(self):
        asked = {"input": "Wie heißt das?", "temperature": 0, "max_output_tokens": 60}
        answer = self.same("chat", self.asking("responses", asked))
        self.assertEqual(answer.object, "response")
        events = self.same("chat", self.asking("responses", {**asked, "stream": True}), self.texts)
        self.assertEqual(self.texts(events)[1], answer.output_text)

    @staticmethod
    def texts(events):
        """The kinds of events a stream has, and its text."""
        return (list(dict.fromkeys(event.type for event in events)),
                "".join(event.delta for event in events if event.type == "response.output_text.delta"))

    def test_messages_of_anthropics_are_the_engines(self):
        asked = {"messages": QUESTION, "max_tokens": 60, "temperature": 0}
        answer = self.same("chat", lambda client, model: client.post(
            "/messages", body={"model": model, **asked}, cast_to=object))
        self.assertEqual(answer["content"][0]["type"], "text")

    def test_tokens_are_the_engines(self):
        text = "drei 🦀"
        tokens = []
        for url, model in [(CHAT, "random-chat"), (f"{self.gateway}/v1", "gateway/chat")]:
            told = post(f"{url}/tokenize", {"model": model, "prompt": text})
            back = post(f"{url}/detokenize", {"model": model, "tokens": told["tokens"]})
            self.assertEqual(back["prompt"], text)
            tokens.append(told)
        self.assertEqual(tokens[1], tokens[0])

    def busy(self):
        with urllib.request.urlopen(f"{CHAT}/metrics", timeout=60) as answer:
            metrics = answer.read().decode()
        running = re.findall(r"^vllm:num_requests_(?:running|waiting)\{.*\} ([0-9.]+)$", metrics, re.M)
        return sum(int(float(number)) for number in running)


class VllmEmbeddings(Embeddings, Models, Engine):
    adapter = "vllm"
    urls = {"embedding": os.environ["VLLM_EMBED_URL"]}
    names = {"embedding": "random-embed"}


class VllmRerank(Rerank, Models, Engine):
    adapter = "vllm"
    urls = {"rerank": os.environ["VLLM_RERANK_URL"]}
    names = {"rerank": "random-rank"}


if __name__ == "__main__":
    unittest.main()
