"""An engine that speaks OpenAI's wire."""

import base64
import json
import struct

from . import scripts
from .scripts import PROMPT_TOKENS, Call, Failure
from .wire import Handler, Upstream

CREATED = 1_700_000_000


class Dialect(Handler):
    """OpenAI's paths and words."""

    def get(self, path):
        if path == "/v1/models":
            data = [{"id": name, "object": "model", "created": CREATED, "owned_by": "tests"}
                    for name in scripts.SCRIPTS]
            self.answer(200, {"object": "list", "data": data})
        else:
            self.answer(404, error("no such path", "invalid_request_error", None))

    def post(self, path, body):
        status = scripts.refusal(body["model"])
        if status:
            kind = "invalid_request_error" if status < 500 else "server_error"
            headers = [("Retry-After", "1")] if status == 429 else []
            self.answer(status, error(f"scripted {status}", kind, f"code-{status}"), headers)
        elif path == "/v1/embeddings":
            self.answer(200, embeddings(body))
        elif path == "/v1/completions":
            self.answer(200, self.complete(body))
        elif path == "/v1/audio/transcriptions":
            self.answer(200, {"text": scripts.TEXT})
        elif path == "/v1/audio/speech":
            self.answer(200, scripts.SOUND)
        elif path == "/v1/images/generations":
            image = base64.b64encode(scripts.SOUND).decode()
            self.answer(200, {"created": CREATED, "data": [{"b64_json": image}]})
        elif path == "/v1/chat/completions" and body.get("stream"):
            self.stream_chat(body)
        elif path == "/v1/chat/completions":
            self.answer(200, self.chat(body))
        else:
            self.answer(404, error("no such path", "invalid_request_error", None))

    def complete(self, body):
        pieces = list(scripts.play(body["model"], self))
        choice = {"index": 0, "text": "".join(pieces), "finish_reason": "stop", "logprobs": None}
        return {"id": "cmpl-1", "object": "text_completion", "created": CREATED,
                "model": body["model"], "choices": [choice], "usage": usage(pieces)}

    def chat(self, body):
        pieces = list(scripts.play(body["model"], self))
        calls = [{"id": f"call_{index}", "type": "function",
                  "function": {"name": call.name, "arguments": json.dumps(call.arguments)}}
                 for index, call in enumerate(pieces) if isinstance(call, Call)]
        message = {"role": "assistant", "content": None if calls else "".join(pieces)}
        if calls:
            message["tool_calls"] = calls
        choice = {"index": 0, "message": message, "finish_reason": finish(pieces)}
        return {"id": "chatcmpl-1", "object": "chat.completion", "created": CREATED,
                "model": body["model"], "choices": [choice], "usage": usage(pieces)}

    def stream_chat(self, body):
        with self.stream("text/event-stream") as send:

            def chunk(choices, **more):
                value = {"id": "chatcmpl-1", "object": "chat.completion.chunk",
                         "created": CREATED, "model": body["model"], "choices": choices, **more}
                send(f"data: {json.dumps(value)}\n\n")

            def delta(delta, reason=None):
                chunk([{"index": 0, "delta": delta, "finish_reason": reason}])

            delta({"role": "assistant", "content": ""})
            pieces = []
            try:
                for piece in scripts.play(body["model"], self):
                    pieces.append(piece)
                    if isinstance(piece, Call):
                        for part in parts(len(pieces) - 1, piece):
                            delta({"tool_calls": [part]})
                    else:
                        delta({"content": piece})
            except Failure as failure:
                send(f"data: {json.dumps(error(str(failure), 'server_error', 'oom'))}\n\n")
                return
            delta({}, finish(pieces))
            if (body.get("stream_options") or {}).get("include_usage"):
                chunk([], usage=usage(pieces))
            send("data: [DONE]\n\n")


def parts(index, call):
    """A call as OpenAI streams it: its name, then its arguments in pieces."""
    function = {"name": call.name, "arguments": ""}
    yield {"index": index, "id": f"call_{index}", "type": "function", "function": function}
    arguments = json.dumps(call.arguments)
    for start in range(0, len(arguments), 5):
        yield {"index": index, "function": {"arguments": arguments[start:start + 5]}}


def embeddings(body):
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    vectors = [scripts.vector(text) for text in texts]
    if body.get("encoding_format") == "base64":
        vectors = [base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
                   for vector in vectors]
    data = [{"object": "embedding", "index": index, "embedding": vector}
            for index, vector in enumerate(vectors)]
    return {"object": "list", "data": data, "model": body["model"],
            "usage": {"prompt_tokens": PROMPT_TOKENS, "total_tokens": PROMPT_TOKENS}}


def finish(pieces):
    return "tool_calls" if isinstance(pieces[-1], Call) else "stop"


def usage(pieces):
    return {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": len(pieces),
            "total_tokens": PROMPT_TOKENS + len(pieces)}


def error(message, kind, code):
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


class Normal(Upstream):
    """A running engine that speaks OpenAI's wire."""

    def __init__(self):
        super().__init__(Dialect)
