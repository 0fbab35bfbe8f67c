"""An engine that the official SDK asks directly and through the program, and that says the same.

A test class of an engine is `Engine` and the suites of what the engine has.
"""

import unittest

import openai
from program import Program

# What differs between any two answers of one engine.
VOLATILE = {"id", "created", "created_at", "timings", "system_fingerprint"}


def settled(value):
    """The value without what differs between any two answers."""
    if isinstance(value, openai.BaseModel):
        value = value.to_dict()
    if isinstance(value, dict):
        return {key: settled(inner) for key, inner in value.items()
                if key not in VOLATILE}
    return [settled(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def folded(chunks):
    """A stream as one object: an engine may put more or less into a chunk from one time to the next."""
    told = {"choices": {}, "ids": len({chunk.id for chunk in chunks}),
            "usage": [settled(chunk.usage) for chunk in chunks if chunk.usage],
            "model": sorted({chunk.model for chunk in chunks}),
            "object": sorted({chunk.object for chunk in chunks})}
    for chunk in chunks:
        for choice in chunk.choices:
            said = told["choices"].setdefault(choice.index, {"reasons": [], "calls": {}})
            if choice.finish_reason:
                said["reasons"].append(choice.finish_reason)
            delta = settled(getattr(choice, "delta", None) or {"text": choice.text})
            for call in delta.pop("tool_calls", None) or []:
                known = said["calls"].setdefault(call["index"], {"name": "", "arguments": ""})
                for key, piece in call.get("function", {}).items():
                    known[key] = known.get(key, "") + piece
            for key, piece in delta.items():
                is_more = key != "role" and said.get(key) and piece
                said[key] = said[key] + piece if is_more else said.get(key) or piece
    return told


class Engine(unittest.TestCase):
    """Below: what a subclass says of its engine."""

    adapter = None
    # Where each service is, and what the engine calls the model there.
    urls = {}
    names = {}
    options = {}
    # What is sent along with every chat and completion.
    always = {}
    # What else a chat with tools takes, to call one, and not to.
    calling = {}
    answering = {}

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.gateway = cls.enterClassContext(Program(cls.services())).url
        cls.through = cls.client(cls.gateway)
        cls.direct = {service: cls.client(url) for service, url in cls.urls.items()}

    @classmethod
    def services(cls, named=True):
        """The services of its configuration. Callers know a model by another name than the engine does,
        or else by what the engine says it is called."""
        def instance(service, url):
            name = {"name": f"gateway/{service}", "model": cls.names[service]} if named else {}
            return {"adapter": cls.adapter, "base-url": url, "options": cls.options, **name}
        return {service: {"instances": [instance(service, url)]} for service, url in cls.urls.items()}

    @classmethod
    def client(cls, url):
        # A retry would hide what was answered.
        return cls.enterClassContext(
            openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=120))

    def both(self, service, ask):
        """What `ask(client, model)` gives, of the engine itself and through the gateway."""
        return (ask(self.direct[service], self.names[service]),
                ask(self.through, f"gateway/{service}"))

    def same(self, service, ask, form=settled):
        """The same, where both agree, which is given as it came through."""
        direct, through = self.both(service, ask)
        self.assertEqual(form(through), form(direct))
        return through

    def chat(self, **asked):
        """One that both answer alike; a stream is a list of its chunks."""
        asked = {"messages": QUESTION, "temperature": 0, "max_tokens": 60, **self.always, **asked}
        create = self.asking("chat.completions", asked)
        return self.same("chat", create, folded if asked.get("stream") else settled)

    def completion(self, **asked):
        asked = {"prompt": "Once upon a time\n", "temperature": 0, "max_tokens": 60, **self.always,
                 **asked}
        create = self.asking("completions", asked)
        return self.same("chat", create, folded if asked.get("stream") else settled)

    @staticmethod
    def asking(resource, asked):
        def ask(client, model):
            at = client
            for name in resource.split("."):
                at = getattr(at, name)
            answer = at.create(model=model, **asked)
            return list(answer) if asked.get("stream") else answer
        return ask

    def refusals(self, service, ask):
        """What both are refused with."""
        told = []
        for client, model in [(self.direct[service], self.names[service]),
                              (self.through, f"gateway/{service}")]:
            with self.assertRaises(openai.APIStatusError) as raised:
                ask(client, model)
            told.append(raised.exception)
        return told


QUESTION = [{"role": "user", "content": "Wie heißt das? 🦀"}]
