"""An engine that speaks Ollama's own wire: NDJSON, errors as text, arguments as objects."""

import json

from . import scripts
from .scripts import PROMPT_TOKENS, Call, Failure
from .wire import Handler, Upstream

NANOS = 1_000_000


class Dialect(Handler):
    """Ollama's paths and words."""

    def get(self, path):
        if path == "/":
            self.answer(200, "Ollama is running")
        elif path == "/api/tags":
            self.answer(200, {"models": [{"name": name} for name in scripts.SCRIPTS]})
        else:
            self.answer(404, "404 page not found")

    def post(self, path, body):
        status = scripts.refusal(body["model"])
        wrong = unfit(path, body)
        if status:
            headers = [("Retry-After", "1")] if status == 429 else []
            self.answer(status, {"error": f"scripted {status}"}, headers)
        elif wrong:
            self.answer(400, {"error": wrong})
        elif path == "/api/embed":
            self.answer(200, embeddings(body))
        elif path == "/api/generate" and not body.get("stream", True):
            self.generate(body)
        # The wire's own default is to stream.
        elif path == "/api/chat" and body.get("stream", True):
            self.stream_chat(body)
        elif path == "/api/chat":
            self.chat(body)
        else:
            self.answer(404, "404 page not found")

    def generate(self, body):
        pieces = list(scripts.play(body["model"], self))
        self.answer(200, {**line(body), "response": "".join(pieces), **end(pieces)})

    def chat(self, body):
        pieces = list(scripts.play(body["model"], self))
        calls = [call(index, piece) for index, piece in enumerate(pieces) if isinstance(piece, Call)]
        words = [piece for piece in pieces if isinstance(piece, str)]
        message = {"role": "assistant", "content": "".join(words)}
        if calls:
            message["tool_calls"] = calls
        self.answer(200, {**line(body), "message": message, **end(pieces)})

    def stream_chat(self, body):
        with self.stream("application/x-ndjson") as send:

            def say(message, **more):
                message = {"role": "assistant", "content": "", **message}
                send(json.dumps({**line(body), "message": message, "done": False, **more}) + "\n")

            pieces = []
            try:
                for piece in scripts.play(body["model"], self):
                    pieces.append(piece)
                    if isinstance(piece, Call):
                        say({"tool_calls": [call(len(pieces) - 1, piece)]})
                    else:
                        say({"content": piece})
            except Failure as failure:
                send(json.dumps({"error": str(failure)}) + "\n")
                return
            say({}, **end(pieces))


def unfit(path, body):
    """Why Ollama's decoder would not take this, or nothing."""
    if path == "/api/chat":
        for message in body["messages"]:
            if not isinstance(message.get("content", ""), str):
                return "json: cannot unmarshal content into a string"
            for given in message.get("tool_calls", []):
                if not isinstance(given["function"]["arguments"], dict):
                    return "json: cannot unmarshal arguments into an object"
    return None


def line(body):
    return {"model": body["model"], "created_at": "2026-01-02T03:04:05.678901234Z"}


def end(pieces):
    return {"done": True, "done_reason": "stop", "total_duration": 9 * NANOS,
            "load_duration": NANOS, "prompt_eval_count": PROMPT_TOKENS,
            "prompt_eval_duration": NANOS, "eval_count": len(pieces), "eval_duration": 7 * NANOS}


def call(index, given):
    function = {"index": index, "name": given.name, "arguments": given.arguments}
    return {"id": f"call_{index}", "function": function}


def embeddings(body):
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    return {"model": body["model"], "embeddings": [scripts.vector(text) for text in texts],
            "total_duration": NANOS, "prompt_eval_count": PROMPT_TOKENS}


class Ollama(Upstream):
    """A running engine that speaks Ollama's own wire."""

    def __init__(self):
        super().__init__(Dialect)
