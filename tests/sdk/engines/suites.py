"""What engines have in common, a class for each kind of question: see `engine.Engine`."""

import array
import base64
import json
import time

import openai
from engine import QUESTION, settled
from program import Program

TOOLS = [{"type": "function", "function": {
    "name": "get_weather",
    "description": "The weather in a city",
    "parameters": {"type": "object", "required": ["city"],
                   "properties": {"city": {"type": "string", "enum": ["Zürich", "Oslo"]}}}}}]
TEXTS = ["eins", "zwei 🦀", "drei und vier"]


class Chat:
    def test_an_answer_is_the_engines(self):
        answer = self.chat()
        self.assertIn(answer.choices[0].finish_reason, ("stop", "length"))
        self.assertGreater(len(answer.choices[0].message.content.split()), 20)
        self.assertGreater(answer.usage.completion_tokens, 20)

    def test_a_conversation_is_the_engines(self):
        self.chat(messages=[
            {"role": "system", "content": "Sei höflich."}, *QUESTION,
            {"role": "assistant", "content": "Krabbe."},
            {"role": "user", "content": [{"type": "text", "text": "Und auf Französisch?"}]}])

    def test_an_answer_is_as_long_as_asked(self):
        answer = self.chat(max_tokens=5)
        self.assertEqual(answer.choices[0].finish_reason, "length")
        self.assertEqual(answer.usage.completion_tokens, 5)

    def test_a_text_to_stop_at_is_the_engines(self):
        # Of any model: the third word it says.
        word = self.chat().choices[0].message.content.split()[2]
        answer = self.chat(stop=[word])
        self.assertNotIn(word, answer.choices[0].message.content)
        self.assertEqual(answer.choices[0].finish_reason, "stop")


class Streaming:
    def test_a_stream_is_the_answer_in_pieces(self):
        whole = self.chat().choices[0].message.content
        chunks = self.chat(stream=True)
        pieces = [chunk.choices[0].delta.content for chunk in chunks
                  if chunk.choices and chunk.choices[0].delta.content]
        self.assertEqual("".join(pieces), whole)
        self.assertGreater(len(pieces), 10, "it is streamed")

    def test_the_usage_of_a_stream_is_the_engines(self):
        chunks = self.chat(stream=True, stream_options={"include_usage": True})
        self.assertEqual(chunks[-1].usage.total_tokens,
                         chunks[-1].usage.prompt_tokens + chunks[-1].usage.completion_tokens)


class Completions:
    def test_a_completion_is_the_engines(self):
        self.assertGreater(len(self.completion().choices[0].text.split()), 10)

    def test_a_streamed_completion_is_the_whole_one_in_pieces(self):
        whole = self.completion().choices[0].text
        chunks = self.completion(stream=True)
        self.assertEqual("".join(chunk.choices[0].text for chunk in chunks if chunk.choices), whole)


class Tools:
    def test_a_call_of_a_function_is_the_engines(self):
        answer = self.chat(tools=TOOLS, **self.calling)
        [call, *_] = answer.choices[0].message.tool_calls
        self.assertTrue(call.id)
        self.assertEqual(call.function.name, "get_weather")
        self.assertIn(json.loads(call.function.arguments)["city"], ["Zürich", "Oslo"])

    def test_a_streamed_call_of_a_function_is_the_engines(self):
        chunks = self.chat(tools=TOOLS, stream=True, **self.calling)
        arguments = "".join(
            call.function.arguments or "" for chunk in chunks if chunk.choices
            for call in chunk.choices[0].delta.tool_calls or [] if call.index == 0)
        self.assertIn(json.loads(arguments)["city"], ["Zürich", "Oslo"])

    def test_the_result_of_a_call_is_understood(self):
        call = {"id": "call_1", "type": "function",
                "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}
        answer = self.chat(tools=TOOLS, **self.answering, messages=[
            *QUESTION, {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "sonnig"}])
        self.assertTrue(answer.choices[0].message.content)


class Embeddings:
    def embed(self, **asked):
        asked = {"input": TEXTS, **asked}

        def ask(client, model):
            # The SDK itself asks for base64 where nobody says.
            return client.post("/embeddings", body={"model": model, **asked}, cast_to=object)
        return ask

    def test_embeddings_are_the_engines(self):
        direct, through = self.both("embedding", self.embed(encoding_format="float"))
        self.assertEqual([item["index"] for item in through["data"]], [0, 1, 2])
        for one, other in zip(through["data"], direct["data"], strict=True):
            # The last digits of an engine's sums depend on what else is in a batch.
            self.assertNear(one.pop("embedding"), other.pop("embedding"))
        self.assertEqual(settled(through), settled(direct))

    def test_embeddings_of_the_sdk_are_those_in_numbers(self):
        client, model = self.through, "gateway/embedding"
        [numbers] = self.embed(input="eins", encoding_format="float")(client, model)["data"]
        coded = client.embeddings.create(model=model, input="eins").data[0].embedding
        self.assertNear(coded, numbers["embedding"])
        [item] = self.embed(input="eins", encoding_format="base64")(client, model)["data"]
        raw = array.array("f", base64.b64decode(item["embedding"]))
        self.assertNear(raw, numbers["embedding"])

    def assertNear(self, one, other):
        self.assertEqual(len(one), len(other))
        for a, b in zip(one, other, strict=True):
            self.assertAlmostEqual(a, b, places=4)


class Rerank:
    def rerank(self, **asked):
        asked = {"query": "Was ist vier?", "documents": TEXTS, **asked}
        return lambda client, model: client.post(
            "/rerank", body={"model": model, **asked}, cast_to=object)

    @staticmethod
    def ranks(answer):
        ranks = [(item["index"], round(item["relevance_score"], 4)) for item in answer["results"]]
        return sorted(ranks, key=lambda rank: -rank[1])

    def test_a_reranking_is_the_engines(self):
        answer = self.same("rerank", self.rerank(), self.ranks)
        scores = [item["relevance_score"] for item in answer["results"]]
        self.assertEqual(scores, sorted(scores, reverse=True))
        self.assertEqual(len(set(scores)), 3)
        for item in answer["results"]:
            self.assertEqual(item["document"]["text"], TEXTS[item["index"]])
        self.assertGreater(answer["usage"]["total_tokens"], 0)

    def test_a_reranking_is_as_long_as_asked(self):
        answer = self.same("rerank", self.rerank(top_n=1), self.ranks)
        self.assertEqual(len(answer["results"]), 1)


class Models:
    def test_models_are_listed_by_their_names(self):
        for service, client in self.direct.items():
            direct = [model.id for model in client.models.list()]
            self.assertIn(self.names[service], direct)
        through = {model.id for model in self.through.models.list()}
        self.assertEqual(through, {f"gateway/{service}" for service in self.urls})
        for name in through:
            self.assertEqual(self.through.models.retrieve(name).id, name)

    def listed(self):
        """What the engine says it has."""
        return {model.id for client in self.direct.values() for model in client.models.list()}

    def test_an_instance_without_a_name_serves_what_the_engine_has(self):
        with Program(self.services(named=False)) as program:
            client = self.client(program.url)
            self.assertEqual({model.id for model in client.models.list()}, self.listed())
            if model := self.names.get("chat"):
                answer = client.chat.completions.create(
                    model=model, messages=QUESTION, max_tokens=3)
                self.assertEqual(answer.object, "chat.completion")

    def test_a_model_that_is_not_there_is_not_found(self):
        with self.assertRaises(openai.NotFoundError) as raised:
            self.through.chat.completions.create(model="nobody", messages=QUESTION)
        self.assertEqual(raised.exception.code, "model_not_found")


class Errors:
    # What the engine refuses, each of a chat.
    wrong = []
    # As what the gateway tells it, where the engine's own status is misleading.
    refused = None

    def test_refusals_keep_the_engines_status_and_words(self):
        for wrong in self.wrong:
            with self.subTest(wrong):
                asked = {"messages": QUESTION, **wrong}
                direct, through = self.refusals("chat", self.asking("chat.completions", asked))
                self.assertEqual(type(through), self.refused or type(direct))
                self.assertIn(self.words(direct), through.message)

    @staticmethod
    def words(error):
        """What the engine says is wrong, in any of the places there are for it."""
        try:
            said = json.loads(error.response.text)
        except ValueError:
            return error.response.text
        said = said.get("error", said)
        return said.get("message") or said["detail"]


class Leaving:
    # An answer that takes far longer than anybody waits.
    endless = {"max_tokens": 0}

    def busy(self):
        """How many answers the engine is working on."""
        raise NotImplementedError

    def test_a_caller_that_leaves_stops_the_engine(self):
        self.wait(0, "it is idle before")
        asked = {"messages": QUESTION, "temperature": 0, **self.endless}
        stream = self.through.chat.completions.create(model="gateway/chat", stream=True, **asked)
        pieces, begun = 0, time.monotonic()
        for chunk in stream:
            pieces += bool(chunk.choices and chunk.choices[0].delta.content)
            if time.monotonic() - begun > 1:
                break
        self.wait(1, "it has only begun")
        stream.close()
        left = time.monotonic()
        self.wait(0, "nobody listens")
        # Not because it came to its end.
        length = (self.endless["max_tokens"] - pieces) / pieces
        self.assertLess((time.monotonic() - left) * 2, length)

    def wait(self, busy, why):
        deadline = time.monotonic() + 20
        while self.busy() != busy:
            self.assertLess(time.monotonic(), deadline, why)
            time.sleep(0.05)
