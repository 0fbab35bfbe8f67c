"""Which exception the SDK raises for what went wrong."""

import unittest

import openai
from program import Program
from support import ADAPTERS, HELLO, client
from upstreams.scripts import WORDS

# What an engine answers, and what its caller gets.
REFUSALS = [
    (400, openai.BadRequestError, 400),
    # The gateway's key for the engine is wrong, not the caller's.
    (401, openai.InternalServerError, 502),
    (404, openai.NotFoundError, 404),
    (422, openai.UnprocessableEntityError, 422),
    (429, openai.RateLimitError, 429),
    (500, openai.InternalServerError, 500),
    (502, openai.InternalServerError, 502),
    (503, openai.InternalServerError, 503),
    (504, openai.InternalServerError, 504),
]


class Errors(unittest.TestCase):
    def setUp(self):
        self.client = client()
        self.addCleanup(self.client.close)

    def ask(self, model, **more):
        return self.client.chat.completions.create(model=model, messages=HELLO, **more)

    def test_a_refusal_is_the_exception_of_its_status(self):
        for adapter in ADAPTERS:
            for status, exception, outward in REFUSALS:
                with self.subTest(adapter, status=status):
                    with self.assertRaises(exception) as raised:
                        # A refused stream is refused at its head, like any other request.
                        self.ask(f"{adapter}-status-{status}", stream=status % 2 == 0)
                    self.assertIs(type(raised.exception), exception)
                    self.assertEqual(raised.exception.status_code, outward)
                    self.assertTrue(raised.exception.request_id)

    def test_what_the_gateway_has_asked_again_is_not_multiplied_by_the_sdk(self):
        for model, requests in [("normal-twice", 1), ("normal-status-500", 3)]:
            sent = []
            http = openai.DefaultHttpxClient(event_hooks={"request": [sent.append]})
            with self.subTest(model), client(max_retries=2, http_client=http) as patient:
                with self.assertRaises(openai.InternalServerError):
                    patient.chat.completions.create(model=model, messages=HELLO)
                self.assertEqual(len(sent), requests)

    def test_the_engines_words_reach_the_caller(self):
        for adapter in ADAPTERS:
            with self.subTest(adapter), self.assertRaises(openai.BadRequestError) as raised:
                self.ask(f"{adapter}-status-400")
            self.assertEqual(raised.exception.body["message"], "scripted 400")
            self.assertEqual(raised.exception.type, "invalid_request_error")
        with self.assertRaises(openai.UnprocessableEntityError) as raised:
            self.ask("normal-status-422")
        self.assertEqual(raised.exception.code, "code-422")

    def test_a_model_nobody_serves_is_not_found(self):
        with self.assertRaises(openai.NotFoundError) as raised:
            self.ask("nobody")
        self.assertEqual(raised.exception.code, "model_not_found")
        self.assertEqual(raised.exception.param, "model")

    def test_a_chat_model_does_not_embed(self):
        with self.assertRaises(openai.NotFoundError):
            self.client.embeddings.create(model="normal-text", input="a")

    def test_messages_in_the_wrong_shape_are_a_bad_request(self):
        with self.assertRaises(openai.BadRequestError) as raised:
            self.client.chat.completions.create(model="ollama-text", messages=[])
        self.assertEqual(raised.exception.param, "messages")

    def test_an_error_in_a_stream_is_raised_after_what_came_before(self):
        for adapter in ADAPTERS:
            for script, code in [("midway", None), ("broken", "upstream_broken")]:
                with self.subTest(adapter, script=script):
                    heard = []
                    with self.assertRaises(openai.APIError) as raised:
                        for chunk in self.ask(f"{adapter}-{script}", stream=True):
                            heard.append(chunk.choices[0].delta.content or "")
                    self.assertIs(type(raised.exception), openai.APIError)
                    self.assertEqual("".join(heard), "".join(WORDS[:2]))
                    if code:
                        self.assertEqual(raised.exception.code, code)
                    else:
                        self.assertIn("out of memory", raised.exception.message)

    def test_a_gateway_that_is_gone_is_a_connection_error(self):
        instances = [{"name": "m", "adapter": "simulated", "base-url": "simulated://m"}]
        with Program({"chat": {"instances": instances}}) as program:
            gone = client(base_url=f"{program.url}/v1")
            self.addCleanup(gone.close)
            answer = gone.chat.completions.create(model="m", messages=HELLO)
            self.assertTrue(answer.choices[0].message.content)
        with self.assertRaises(openai.APIConnectionError):
            gone.chat.completions.create(model="m", messages=HELLO)


if __name__ == "__main__":
    unittest.main()
