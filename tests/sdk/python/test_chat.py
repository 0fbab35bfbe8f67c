"""Chat, whole and streamed, over both wires."""

import json
import unittest

from support import ADAPTERS, HELLO, TOOLS, client, control
from upstreams.scripts import CALLS, PROMPT_TOKENS, TEXT, WORDS


class Chat:
    """The tests, for one adapter."""

    adapter = None

    def setUp(self):
        self.client = client()
        self.addCleanup(self.client.close)

    def ask(self, script, **more):
        return self.client.chat.completions.create(
            model=f"{self.adapter}-{script}", messages=HELLO, **more)

    def test_an_answer_is_whole(self):
        answer = self.ask("text")
        [choice] = answer.choices
        self.assertEqual(choice.message.content, TEXT)
        self.assertEqual(choice.message.role, "assistant")
        self.assertEqual(choice.finish_reason, "stop")
        self.assertEqual(answer.object, "chat.completion")
        self.assertEqual(answer.usage.prompt_tokens, PROMPT_TOKENS)
        self.assertEqual(answer.usage.completion_tokens, len(WORDS))
        self.assertEqual(answer.usage.total_tokens, PROMPT_TOKENS + len(WORDS))
        self.assertTrue(answer.id)
        self.assertGreater(answer.created, 1_600_000_000)
        self.assertTrue(answer._request_id)

    def test_deltas_arrive_one_by_one(self):
        heard = []
        for chunk in self.ask("stepped", stream=True):
            [choice] = chunk.choices
            if choice.delta.content:
                heard.append(choice.delta.content)
                if len(heard) < len(WORDS):
                    # The next word is not said before this one was heard.
                    control(self.adapter, "step", post=True)
        self.assertEqual(heard, WORDS)
        self.assertEqual(choice.finish_reason, "stop")

    def test_usage_ends_a_stream_that_asked_for_it(self):
        chunks = list(self.ask("text", stream=True, stream_options={"include_usage": True}))
        self.assertEqual(chunks[-1].choices, [])
        self.assertEqual(chunks[-1].usage.prompt_tokens, PROMPT_TOKENS)
        self.assertEqual(chunks[-1].usage.completion_tokens, len(WORDS))
        self.assertTrue(all(chunk.usage is None for chunk in chunks[:-1]))

    def test_a_stream_that_did_not_ask_for_usage_has_none(self):
        for chunk in self.ask("text", stream=True):
            self.assertIsNone(chunk.usage)
            self.assertEqual(len(chunk.choices), 1)

    def test_every_chunk_is_of_one_answer(self):
        chunks = list(self.ask("text", stream=True))
        self.assertEqual(len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}), 1)
        self.assertEqual({chunk.object for chunk in chunks}, {"chat.completion.chunk"})

    def test_two_functions_are_called_at_once(self):
        [choice] = self.ask("tools", tools=TOOLS).choices
        self.assertEqual(choice.finish_reason, "tool_calls")
        self.check_calls(choice.message.tool_calls)

    def test_streamed_calls_add_up(self):
        model = f"{self.adapter}-tools"
        with self.client.chat.completions.stream(model=model, messages=HELLO, tools=TOOLS) as stream:
            for _ in stream:
                pass
            [choice] = stream.get_final_completion().choices
        self.assertEqual(choice.finish_reason, "tool_calls")
        self.check_calls(choice.message.tool_calls)

    def check_calls(self, calls):
        self.assertEqual(
            [(call.function.name, json.loads(call.function.arguments)) for call in calls], CALLS)
        self.assertEqual(len({call.id for call in calls}), len(CALLS))
        self.assertEqual({call.type for call in calls}, {"function"})

    def test_results_of_calls_go_back(self):
        called = self.ask("tools", tools=TOOLS).choices[0].message
        results = [{"role": "tool", "tool_call_id": call.id, "content": f"of {call.function.name}"}
                   for call in called.tool_calls]
        answer = self.client.chat.completions.create(
            model=f"{self.adapter}-text", tools=TOOLS, messages=[*HELLO, called, *results])
        self.assertEqual(answer.choices[0].message.content, TEXT)
        messages = control(self.adapter, "last")["body"]["messages"]
        self.assertEqual([message["role"] for message in messages],
                         ["user", "assistant", "tool", "tool"])
        self.assertEqual([message["content"] for message in messages[2:]],
                         ["of get_weather", "of get_time"])
        arguments = [call["function"]["arguments"] for call in messages[1]["tool_calls"]]
        self.check_arguments(arguments)

    def check_arguments(self, arguments):
        raise NotImplementedError


class NormalChat(Chat, unittest.TestCase):
    adapter = "normal"

    def check_arguments(self, arguments):
        self.assertEqual([json.loads(given) for given in arguments],
                         [call.arguments for call in CALLS])

    def test_what_the_sdk_says_arrives_as_it_was_said(self):
        # All but the model's name, which is the instance's own.
        said = {"messages": HELLO, "temperature": 0.25, "seed": 7, "tools": TOOLS,
                "tool_choice": "auto", "logit_bias": {"5": -1}, "stop": ["\n"],
                "response_format": {"type": "json_object"}, "user": "someone"}
        self.client.chat.completions.create(
            model="normal-text", **said, extra_body={"top_k": 3, "vendor": {"deep": [1, 2.50]}})
        heard = control("normal", "last")
        self.assertEqual(heard["path"], "/v1/chat/completions")
        self.assertEqual(heard["body"], {
            "model": "text", **said, "top_k": 3, "vendor": {"deep": [1, 2.5]}})

    def test_the_callers_key_stays_with_the_gateway(self):
        self.ask("text")
        self.assertNotIn("authorization",
                         {name.lower() for name in control("normal", "last")["headers"]})


class OllamaChat(Chat, unittest.TestCase):
    adapter = "ollama"

    def check_arguments(self, arguments):
        self.assertEqual(arguments, [call.arguments for call in CALLS])

    def test_what_the_sdk_says_arrives_in_ollamas_words(self):
        self.ask("text", temperature=0.25, seed=7, max_tokens=9, stop=["\n"], tools=TOOLS,
                 response_format={"type": "json_object"})
        heard = control("ollama", "last")
        self.assertEqual(heard["path"], "/api/chat")
        body = heard["body"]
        self.assertEqual(body["model"], "text")
        self.assertIs(body["stream"], False)
        self.assertEqual(body["format"], "json")
        self.assertEqual(body["options"],
                         {**body["options"], "temperature": 0.25, "seed": 7, "num_predict": 9,
                          "stop": ["\n"]})
        self.assertEqual([tool["function"]["name"] for tool in body["tools"]],
                         [call.name for call in CALLS])


class EveryWire(unittest.TestCase):
    def test_every_adapter_is_tested(self):
        self.assertEqual({tests.adapter for tests in Chat.__subclasses__()}, set(ADAPTERS))


if __name__ == "__main__":
    unittest.main()
