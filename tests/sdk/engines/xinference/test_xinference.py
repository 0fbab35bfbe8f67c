"""Xinference, with the models of `tiny_hf.py` that `launch.py` starts."""

import os
import pathlib
import time
import unittest

import openai
from engine import Engine
from suites import (
    TOOLS,
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

URL, PID = os.environ["XINFERENCE_URL"], os.environ["XINFERENCE_PID"]


def cpu(pid):
    """How many seconds a process and those it has started have computed."""
    process, total = pathlib.Path("/proc", pid), 0
    for task in process.glob("task/*"):
        total += sum(cpu(child) for child in (task / "children").read_text().split())
    # From the third value on: the second is a name, in parentheses.
    user, system = (process / "stat").read_text().rpartition(")")[2].split()[11:13]
    return total + (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


class Xinference(Chat, Streaming, Tools, Embeddings, Rerank, Models, Errors, Leaving, Engine):
    adapter = "xinference"
    urls = dict.fromkeys(["chat", "embedding", "rerank"], URL)
    names = {"chat": "random-chat", "embedding": "random-embed", "rerank": "random-rank"}
    # Xinference itself tells 500 of what is wrong with a request.
    refused = openai.BadRequestError
    endless = {"messages": [{"role": "user", "content": "Sing!"}], "max_tokens": 8_000}
    wrong = [{"messages": "none"}, {"messages": []}, {"tools": 1}, {"max_tokens": "many"}]

    def test_a_streamed_call_of_a_function_is_the_engines(self):
        # Its engine of transformers reads calls in whole answers only, and streams them as written.
        chunks = self.chat(tools=TOOLS, stream=True)
        said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        self.assertIn("<tool_call>", said)

    def test_what_is_wrong_with_other_requests_is_told_too(self):
        for service, path in [("embedding", "/embeddings"), ("rerank", "/rerank")]:
            with self.subTest(path):
                direct, through = self.refusals(service, lambda client, model, path=path: client.post(
                    path, body={"model": model, "documents": 1}, cast_to=object))
                self.assertEqual(type(through), openai.BadRequestError)
                self.assertIn(self.words(direct), through.message)

    def busy(self):
        """It does not tell, so this is whether its processes compute: half of a core's time or more."""
        before, begun = cpu(PID), time.monotonic()
        time.sleep(1)
        return int(cpu(PID) - before > (time.monotonic() - begun) / 2)


class XinferenceCompletions(Completions, Engine):
    adapter = "xinference"
    urls = {"chat": URL}
    names = {"chat": "random-completion"}


if __name__ == "__main__":
    unittest.main()
