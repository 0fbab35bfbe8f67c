"""Runs a command beside scripted engines and the program in front of them: `serve.py COMMAND…`.

The command finds them in JAIROUTER_URL, NORMAL_URL and OLLAMA_URL. Each script of the engines is a
model: `normal-text` is `text` on the engine that speaks OpenAI's wire, `ollama-text` on the other.
"""

import os
import subprocess
import sys

from program import Program
from upstreams import Normal, Ollama
from upstreams.scripts import SCRIPTS


def services(engines):
    """Every script of every engine as a chat model, and one model of each other service."""
    def instance(adapter, name, model):
        return {"name": name, "model": model, "adapter": adapter, "base-url": engines[adapter].url}

    chat = [instance(adapter, f"{adapter}-{script}", script)
            for adapter in engines for script in SCRIPTS]
    # A name that has to be escaped in a path.
    chat.append(instance("normal", "acme/tiny:1.5b", "text"))
    # Two replicas that fail, so that the gateway has asked again itself.
    chat += [{**instance("normal", "normal-twice", "status-500"), "instance-id": number}
             for number in ("first", "second")]
    embedding = [instance(adapter, f"{adapter}-embed", "embed") for adapter in engines]
    services = {"chat": chat, "embedding": embedding}
    for service in ("stt", "tts", "imgGen"):
        services[service] = [instance("normal", f"normal-{service}", service)]
    return {service: {"instances": instances} for service, instances in services.items()}


def main(command):
    engines = {"normal": Normal(), "ollama": Ollama()}
    with Program(services(engines)) as program:
        found = {f"{adapter.upper()}_URL": engine.url for adapter, engine in engines.items()}
        environment = {**os.environ, **found, "JAIROUTER_URL": program.url}
        subprocess.run(command, env=environment, check=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except subprocess.CalledProcessError as failed:
        sys.exit(f"{failed}")
