"""The program under test, with a configuration of the test's."""

import json
import os
import subprocess
import sys
import tempfile


class Program:
    """A running `jairouter`, from `with` to its end. `url` is where it listens.

    If the block raises, or it does not start, its log is shown.
    """

    def __init__(self, services):
        self.services = services

    def __enter__(self):
        self.log = tempfile.TemporaryFile()
        self.config = tempfile.NamedTemporaryFile("w", suffix=".yaml")
        # JSON is YAML too.
        json.dump({"server": {"port": 0}, "model": {"services": self.services}}, self.config)
        self.config.flush()
        self.process = subprocess.Popen(
            [os.environ["JAIROUTER"], self.config.name],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, text=True)
        for line in self.process.stdout:
            if "listening on " in line:
                self.url = line.split("listening on ")[1].strip()
                return self
        self.__exit__(RuntimeError)
        raise RuntimeError("the program does not listen")

    def __exit__(self, raised, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        if raised:
            self.log.seek(0)
            sys.stderr.write(self.log.read().decode())
        self.log.close()
        self.config.close()
