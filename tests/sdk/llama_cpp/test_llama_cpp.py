"""What a real llama.cpp server says arrives as it was said: object for object, event for event.

The same request goes to the server directly and through the gateway. Only what differs between any two
answers of the server itself is left out: ids, the date and the timings.
"""

import http.client
import json
import os
import time
import unittest
from urllib.parse import urlsplit

from program import Program

CHAT, EMBED = os.environ["LLAMA_CHAT_URL"], os.environ["LLAMA_EMBED_URL"]

# The instance's own name differs from the caller's.
SERVICES = {
    service: {"instances": [
        {"name": f"random/{service}", "model": "tiny", "adapter": "llamacpp", "base-url": url}]}
    for service, url in [("chat", CHAT), ("embedding", EMBED)]
}
QUESTION = [{"role": "user", "content": "Wie heißt das? 🦀"}]
# From one prompt to the same words every time.
SETTLED = {"temperature": 0, "cache_prompt": False, "max_tokens": 40}
TOOLS = [{"type": "function", "function": {
    "name": "get_weather",
    "description": "The weather in a city",
    "parameters": {"type": "object", "required": ["city"],
                   "properties": {"city": {"type": "string", "enum": ["Zürich", "Oslo"]}}}}}]
SCHEMA = {"type": "object", "required": ["city", "sunny"],
          "properties": {"city": {"enum": ["Zürich", "Oslo"]}, "sunny": {"type": "boolean"}}}


def send(url, path, body):
    """The connection and the answer's head."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    headers = {"Content-Type": "application/json"}
    connection.request("GET" if body is None else "POST", path,
                       body and json.dumps(body), headers)
    return connection, connection.getresponse()


def ask(url, path, body=None):
    """The answer as (status, content type, its JSON objects in their order)."""
    connection, answer = send(url, path, body)
    text = answer.read().decode()
    connection.close()
    kind = answer.headers.get_content_type()
    if kind != "text/event-stream":
        return answer.status, kind, [json.loads(text)]
    events = text.split("\n\n")
    assert events.pop() == "" and all(event.startswith("data: ") for event in events), text
    assert events.pop() == "data: [DONE]", text
    return answer.status, kind, [json.loads(event.removeprefix("data: ")) for event in events]


def settled(value):
    """The value without what differs between any two answers."""
    if isinstance(value, dict):
        return {key: settled(inner) for key, inner in value.items()
                if key not in ("id", "created", "timings")}
    return [settled(inner) for inner in value] if isinstance(value, (list, tuple)) else value


class LlamaCpp(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gateway = cls.enterClassContext(Program(SERVICES)).url
        [token] = ask(CHAT, "/tokenize", {"content": "<tool_call>\n"})[2][0]["tokens"]
        # So that a model of random weights calls a function.
        cls.calling = {"tools": TOOLS, "tool_choice": "required", "logit_bias": {str(token): 100}}

    def same(self, service, path, **body):
        """Asks both ways, and returns the objects they agree on."""
        engine = {"chat": CHAT, "embedding": EMBED}[service]
        direct = ask(engine, path, {"model": "tiny", **body})
        through = ask(self.gateway, path, {"model": f"random/{service}", **body})
        self.assertEqual(settled(through), settled(direct))
        return through[2]

    def chat(self, **body):
        asked = {"messages": QUESTION, **SETTLED, **body}
        return self.same("chat", "/v1/chat/completions", **asked)

    def test_an_answer_is_the_servers(self):
        [answer] = self.chat()
        self.assertEqual(answer["usage"]["completion_tokens"], 40)
        self.assertEqual(len(answer["choices"][0]["message"]["content"].split()), 40)

    def test_a_stream_is_the_servers_event_for_event(self):
        events = self.chat(stream=True, stream_options={"include_usage": True})
        words = [event["choices"][0]["delta"].get("content") for event in events
                 if event["choices"]]
        self.assertEqual(len([word for word in words if word]), 40)
        self.assertEqual(events[-1]["usage"]["completion_tokens"], 40)

    def test_letters_of_several_bytes_are_whole(self):
        grammar = 'root ::= (" 🦀" | " мир" | " 日本" | " loré"){8}'
        [answer] = self.chat(grammar=grammar)
        whole = answer["choices"][0]["message"]["content"]
        self.assertEqual(len(whole.split()), 8)
        events = self.chat(grammar=grammar, stream=True)
        deltas = [event["choices"][0]["delta"].get("content") or "" for event in events]
        self.assertEqual("".join(deltas), whole)

    def test_calls_of_functions_are_the_servers(self):
        [answer] = self.chat(max_tokens=160, **self.calling)
        calls = answer["choices"][0]["message"]["tool_calls"]
        self.assertGreater(len(calls), 1, "several at once")
        for call in calls:
            self.assertEqual(call["function"]["name"], "get_weather")
            self.assertIn(json.loads(call["function"]["arguments"])["city"], ["Zürich", "Oslo"])

    def test_streamed_calls_of_functions_are_the_servers(self):
        events = self.chat(max_tokens=160, stream=True, **self.calling)
        indices = {call["index"] for event in events
                   for call in event["choices"][0]["delta"].get("tool_calls", [])}
        self.assertGreater(len(indices), 1, "several at once")

    def test_results_of_calls_are_understood(self):
        call = {"id": "call_1", "type": "function",
                "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}
        self.chat(tools=TOOLS, tool_choice="none", messages=[
            *QUESTION, {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}])

    def test_a_schema_is_kept(self):
        form = {"type": "json_schema", "json_schema": {"name": "weather", "schema": SCHEMA}}
        [answer] = self.chat(response_format=form, max_tokens=200)
        self.assertEqual(answer["choices"][0]["finish_reason"], "stop")
        content = json.loads(answer["choices"][0]["message"]["content"])
        self.assertEqual(set(content), {"city", "sunny"})

    def test_what_only_this_server_knows_passes(self):
        [answer] = self.chat(logprobs=True, top_logprobs=3, n_predict=5, max_tokens=None,
                             samplers=["top_k"], top_k=1)
        self.assertEqual(len(answer["choices"][0]["logprobs"]["content"]), 5)

    def test_completions_are_the_servers(self):
        for stream in (False, True):
            self.same("chat", "/v1/completions", prompt="Es war einmal", stream=stream, **SETTLED)

    def test_embeddings_are_the_servers(self):
        for form in ("float", "base64"):
            [answer] = self.same("embedding", "/v1/embeddings", encoding_format=form,
                                 input=["eins", "zwei 🦀", "drei und vier"])
            self.assertEqual(len(answer["data"]), 3)

    def test_tokens_are_the_servers(self):
        text = "drei 🦀"
        [direct] = ask(CHAT, "/tokenize", {"content": text, "add_special": True})[2]
        [through] = ask(self.gateway, "/v1/tokenize", {"model": "random/chat", "prompt": text})[2]
        self.assertEqual(through["tokens"], direct["tokens"])
        self.assertEqual(through["count"], len(direct["tokens"]))
        tokens = {"model": "random/chat", "tokens": direct["tokens"]}
        [back] = ask(self.gateway, "/v1/detokenize", tokens)[2]
        self.assertIn(text, back["prompt"])

    def test_refusals_keep_the_servers_status_and_words(self):
        for wrong in ({}, {"messages": "none"}, {"messages": QUESTION, "tools": 1},
                      {"messages": QUESTION, "grammar": "root ::= ("}):
            with self.subTest(wrong):
                status, _, [direct] = ask(CHAT, "/v1/chat/completions", {"model": "tiny", **wrong})
                through = ask(self.gateway, "/v1/chat/completions",
                              {"model": "random/chat", **wrong})
                self.assertEqual((through[0], through[2][0]["error"]["message"]),
                                 (status, direct["error"]["message"]))
                self.assertGreaterEqual(status, 400)

    def test_a_caller_that_leaves_stops_the_server(self):
        # At some thousand tokens a second, long enough to be seen at work.
        length = 60_000
        endless = {"model": "random/chat", "messages": QUESTION, "stream": True,
                   "ignore_eos": True, "max_tokens": length}
        connection, answer = send(self.gateway, "/v1/chat/completions", endless)
        while b"content" not in answer.readline():
            pass
        last = self.busy()
        self.assertTrue(last, "it has only begun")
        answer.close()
        connection.close()
        deadline = time.monotonic() + 30
        while busy := self.busy():
            self.assertLess(time.monotonic(), deadline, "it never stopped")
            last = busy
            time.sleep(0.05)
        self.assertLess(last[0]["next_token"][0]["n_decoded"], length)

    def busy(self):
        """The server's slots that are at work."""
        return [slot for slot in ask(CHAT, "/slots")[2][0] if slot["is_processing"]]


if __name__ == "__main__":
    unittest.main()
