"""What every test of the SDK needs: clients, and the engines' side of the story."""

import json
import logging
import os
import urllib.request

import openai

ADAPTERS = ["normal", "ollama"]
URL = os.environ["JAIROUTER_URL"]

TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {
        "type": "object", "properties": {field: {"type": "string"}}, "required": [field]}}}
    for name, field in [("get_weather", "city"), ("get_time", "zone")]
]
HELLO = [{"role": "user", "content": "Hello! 🦀"}]

# How long a callback took says how busy the machine is, and nothing of the gateway.
logging.getLogger("asyncio").setLevel(logging.ERROR)

# A retry would hide what the gateway answered.
_SETTINGS = {"api_key": "none", "max_retries": 0, "timeout": 30}


def client(**settings):
    """A client of the gateway's."""
    return openai.OpenAI(**{"base_url": f"{URL}/v1", **_SETTINGS, **settings})


def async_client(**settings):
    """The same, for asyncio."""
    return openai.AsyncOpenAI(**{"base_url": f"{URL}/v1", **_SETTINGS, **settings})


def control(adapter, path, post=False):
    """Asks an engine beside the wire: see upstreams/wire.py."""
    url = os.environ[f"{adapter.upper()}_URL"] + "/control/" + path
    with urllib.request.urlopen(url, data=b"" if post else None, timeout=30) as answer:
        return json.load(answer)
