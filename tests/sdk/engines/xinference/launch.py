"""Registers the models of random weights with a Xinference and starts them: `launch.py URL FOLDER`."""

import json
import pathlib
import sys
import urllib.error
import urllib.request


def post(url, body):
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        sys.exit(f"{url}: {error.code} {error.read().decode()}")


def launch(url, kind, name, folder, engine, model, spec=None, **more):
    spec = {"model_format": "pytorch", "quantization": "none", "model_id": f"random/{name}",
            "model_uri": f"file://{folder}", **(spec or {})}
    model = {"version": 2, "model_name": name, "model_specs": [spec], **model}
    post(f"{url}/v1/model_registrations/{kind}", {"model": json.dumps(model), "persist": False})
    post(f"{url}/v1/models", {
        "model_uid": name, "model_name": name, "model_type": kind, "model_engine": engine,
        "model_format": "pytorch", "quantization": "none", "n_gpu": None,
        "enable_virtual_env": False, **more})


def main(url, folder):
    folder = pathlib.Path(folder)
    about = {"context_length": 8192, "model_lang": ["en"], "model_description": "random weights"}
    size = {"model_size_in_billions": "0_1"}
    launch(url, "LLM", "random-chat", folder / "chat", "transformers", {
        **about, "model_ability": ["chat", "tools"], "model_family": "qwen2.5-instruct",
        "chat_template": (folder / "chat" / "chat_template.jinja").read_text(),
        "tool_parser": "qwen", "stop": ["<|im_end|>"], "stop_token_ids": [],
    }, spec=size, **size)
    # Its chat models take no completions: it reads their prompts as messages.
    launch(url, "LLM", "random-completion", folder / "chat", "transformers", {
        **about, "model_ability": ["generate"], "model_family": "random-completion",
    }, spec=size, **size)
    launch(url, "embedding", "random-embed", folder / "embed", "sentence_transformers",
           {"dimensions": 384, "max_tokens": 512, "language": ["en"]})
    launch(url, "rerank", "random-rank", folder / "rank", "sentence_transformers",
           {"max_tokens": 512, "language": ["en"], "type": "normal"})


if __name__ == "__main__":
    main(*sys.argv[1:])
