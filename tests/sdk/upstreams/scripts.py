"""What a scripted engine says: the name of the model is the name of the script.

text       the words, then a stop
stepped    the words, each but the first only after the test asked for it
tools      two calls of functions at once
midway     two words, then an error reported in the stream
broken     two words, then the connection is gone
endless    one word, then nothing until the caller leaves
silent     nothing until the caller leaves
status-N   a refusal with that status
"""

from typing import NamedTuple

WORDS = ["Grüße", " aus", " der", " 🦀", "-Küche", "."]
TEXT = "".join(WORDS)
PROMPT_TOKENS = 11


class Call(NamedTuple):
    """A call of a function."""

    name: str
    arguments: dict


CALLS = [Call("get_weather", {"city": "Zürich"}), Call("get_time", {"zone": "Europe/Zurich"})]

STATUSES = [400, 401, 404, 422, 429, 500, 502, 503, 504]
SCRIPTS = ["text", "stepped", "tools", "midway", "broken", "endless", "silent"]
SCRIPTS += [f"status-{status}" for status in STATUSES]


class Failure(Exception):
    """The engine reports an error where it stands."""


class Cut(Exception):
    """The connection goes away where it stands."""


def play(script, caller):
    """Yields the words and calls of this script."""
    if script == "tools":
        yield from CALLS
    elif script in ("endless", "silent"):
        if script == "endless":
            yield WORDS[0]
        caller.wait_until_it_left()
        raise Cut
    elif script in ("midway", "broken"):
        yield from WORDS[:2]
        raise Cut if script == "broken" else Failure("the engine ran out of memory")
    elif script in ("text", "stepped"):
        for number, word in enumerate(WORDS):
            if number and script == "stepped":
                caller.wait_for_a_step()
            yield word
    else:
        raise Failure(f"there is no script '{script}'")


def refusal(script):
    """The status of a script that refuses, or nothing."""
    return int(script.removeprefix("status-")) if script.startswith("status-") else None


def vector(text):
    """An embedding that tells its text, of numbers that a 32-bit float holds exactly."""
    return [len(text) / 8, -0.5, 0.25, 1.0 + sum(text.encode()) / 1024]


# Bytes that no text is, and that look like the end of a form's part.
SOUND = bytes(range(256)) + b"\r\n--\r\n\r\n" + bytes(reversed(range(256)))
