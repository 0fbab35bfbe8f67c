"""Every command of docs/operating.md is run, in its order, and prints what the page says it prints.

`…` in a line of the page is anything in that line, and a line of it alone any lines. What happens to the
machines stands in comments: `<!-- gpu-2 fails -->`.
"""

import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from engine import Engine

PAGE = pathlib.Path("docs/operating.md")
PART = re.compile(r"^```(\w+)\n(.*?)^```$|^<!-- (.*?) -->$", re.MULTILINE | re.DOTALL)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Shell:
    """A shell that somebody types into."""

    def __init__(self, folder):
        program = pathlib.Path(os.environ["JAIROUTER"])
        environment = {"PATH": f"{program.parent}:{os.environ['PATH']}", "HOME": str(folder), "LC_ALL": "C.UTF-8"}
        self.process = subprocess.Popen(
            ["bash", "--norc"], cwd=folder, env=environment, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def run(self, command):
        self.process.stdin.write(f"{command}\nprintf '\\n=done=\\n'\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            if line == "=done=\n":
                return "".join(lines).rstrip()
            lines.append(line)
        raise RuntimeError(f"the shell is gone: {''.join(lines)}")

    def close(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def matches(expected, printed):
    any_line = re.escape("…")
    pattern = "\n".join(
        r"(?:.*\n)*?.*" if line.strip() == "…" else re.escape(line).replace(any_line, ".*")
        for line in expected.splitlines())
    return re.fullmatch(pattern, printed)


class OperatingTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.engines = {"gpu-1": Engine(), "gpu-2": Engine(), "gpu-3": Engine()}
        self.folder = tempfile.TemporaryDirectory()
        self.shell = Shell(self.folder.name)
        self.addCleanup(self.close)
        self.names = {f"{name}:8000": f"127.0.0.1:{engine.port}" for name, engine in self.engines.items()}
        callers, operators = free_port(), free_port()
        self.names.update({
            "localhost:8080": f"127.0.0.1:{callers}", "localhost:8081": f"127.0.0.1:{operators}",
            "port: 8080": f"port: {callers}", "port: 8081": f"port: {operators}"})

    def close(self):
        self.shell.close()
        for engine in self.engines.values():
            engine.stop()
        self.folder.cleanup()

    def here(self, text):
        for name, place in self.names.items():
            text = text.replace(name, place)
        return text

    def there(self, text):
        for name, place in self.names.items():
            text = text.replace(place, name)
        return text

    def happens(self, event):
        machine, what = event.split(" ", 1)
        if what == "fails":
            self.engines[machine].stop()
        elif what == "is back":
            self.engines[machine].start()
        else:
            self.fail(f"nobody knows how '{event}' happens")
        # Probes come every second here.
        time.sleep(2.5)

    def test_every_step_does_what_the_page_says(self):
        ran = 0
        for language, text, event in PART.findall(PAGE.read_text()):
            if event:
                self.happens(event)
            elif language == "yaml" and text.startswith("# jairouter.yaml"):
                pathlib.Path(self.folder.name, "jairouter.yaml").write_text(self.here(text))
            elif language == "console":
                for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                    self.step(part.rstrip("\n"))
                    ran += 1
        self.assertGreater(ran, 25)

    def step(self, part):
        command, _, expected = part.partition("\n")
        while command.endswith("\\"):
            more, _, expected = expected.partition("\n")
            command += "\n" + more.removeprefix("> ")
        # A line of the log may be ten milliseconds late, and nobody types faster.
        time.sleep(0.05)
        printed = self.there(self.shell.run(self.here(command)))
        if not matches(expected, printed):
            self.fail(f"$ {command}\nthe page says:\n{expected}\n\nit printed:\n{printed}")


if __name__ == "__main__":
    unittest.main()
