"""A caller that leaves is seen by the engine, whatever the request was doing."""

import asyncio
import unittest

import openai
from support import ADAPTERS, HELLO, async_client, client, control
from upstreams.scripts import WORDS


class Leaving(unittest.TestCase):
    def test_closing_a_stream_stops_the_engine(self):
        for adapter in ADAPTERS:
            with self.subTest(adapter), client() as api:
                stream = api.chat.completions.create(
                    model=f"{adapter}-endless", messages=HELLO, stream=True)
                self.assertEqual(first_word(stream), WORDS[0])
                stream.close()
                control(adapter, "left")

    def test_a_timeout_of_the_sdk_stops_the_engine(self):
        for adapter in ADAPTERS:
            for stream in (False, True):
                with self.subTest(adapter, stream=stream), client(timeout=1.5) as api:
                    with self.assertRaises(openai.APITimeoutError):
                        api.chat.completions.create(
                            model=f"{adapter}-silent", messages=HELLO, stream=stream)
                    control(adapter, "left")


class LeavingAsync(unittest.IsolatedAsyncioTestCase):
    async def test_a_cancelled_task_stops_the_engine(self):
        for adapter in ADAPTERS:
            with self.subTest(adapter):
                heard = asyncio.Event()
                task = asyncio.create_task(listen(f"{adapter}-endless", heard))
                await asyncio.wait_for(heard.wait(), 20)
                task.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await task
                await asyncio.to_thread(control, adapter, "left")


async def listen(model, heard):
    """Listens to a stream to its end, and says when its first word came."""
    async with async_client() as api:
        stream = await api.chat.completions.create(model=model, messages=HELLO, stream=True)
        async for chunk in stream:
            if chunk.choices[0].delta.content:
                heard.set()


def first_word(stream):
    return next(chunk.choices[0].delta.content for chunk in stream
                if chunk.choices[0].delta.content)


if __name__ == "__main__":
    unittest.main()
