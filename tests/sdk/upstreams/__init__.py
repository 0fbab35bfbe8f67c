"""Engines for the SDK tests: scripted, on real sockets, one for each wire the gateway speaks."""

from .normal import Normal
from .ollama import Ollama

__all__ = ["Normal", "Ollama"]
