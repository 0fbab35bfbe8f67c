"""The client for asyncio, and many callers at once."""

import asyncio
import json
import unittest

import openai
from support import ADAPTERS, HELLO, TOOLS, async_client
from upstreams.scripts import CALLS, TEXT, vector


class Async(unittest.IsolatedAsyncioTestCase):
    async def test_many_callers_at_once_hear_their_own_answers(self):
        async with async_client() as api:

            async def listen(number):
                adapter = ADAPTERS[number % 2]
                if number % 3 == 0:
                    answer = await api.embeddings.create(
                        model=f"{adapter}-embed", input="x" * number)
                    return answer.data[0].embedding == vector("x" * number)
                if number % 3 == 1:
                    stream = await api.chat.completions.create(
                        model=f"{adapter}-text", messages=HELLO, stream=True)
                    return "".join([chunk.choices[0].delta.content or ""
                                    async for chunk in stream]) == TEXT
                answer = await api.chat.completions.create(
                    model=f"{adapter}-tools", messages=HELLO, tools=TOOLS)
                calls = answer.choices[0].message.tool_calls
                return [(call.function.name, json.loads(call.function.arguments))
                        for call in calls] == CALLS

            answers = await asyncio.gather(*(listen(number) for number in range(1, 61)))
        self.assertEqual(answers, [True] * 60)

    async def test_errors_are_the_same_ones(self):
        async with async_client() as api:
            with self.assertRaises(openai.NotFoundError):
                await api.chat.completions.create(model="nobody", messages=HELLO)
            for adapter in ADAPTERS:
                stream = await api.chat.completions.create(
                    model=f"{adapter}-broken", messages=HELLO, stream=True)
                with self.assertRaises(openai.APIError):
                    async for _ in stream:
                        pass

    async def test_models_are_listed(self):
        async with async_client() as api:
            names = [model.id async for model in api.models.list()]
        self.assertIn("ollama-text", names)


if __name__ == "__main__":
    unittest.main()
