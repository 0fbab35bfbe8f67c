"""What `deploy/` has for Prometheus and Grafana, against a real scrape of the program."""

import http.client
import json
import os
import pathlib
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.parse
import urllib.request

DEPLOY = pathlib.Path("deploy")
TOOLS = pathlib.Path(os.environ["PROMETHEUS"])
RULES = DEPLOY / "prometheus" / "jairouter.rules.yml"

CONFIGURATION = {
    "server": {"port": 0},
    "management": {"server": {"port": 0}},
    "model": {
        "circuit-breaker": {"enabled": True},
        "concurrency": {"limit": 4, "queue": 10},
        "services": {
            "chat": {
                "instances": [{
                    "name": "simulated", "adapter": "simulated",
                    "base-url": "simulated://a?first-token=10ms&rate=500&length=20"}]},
            "embedding": {
                "rate-limit": {"enabled": True, "capacity": 2, "rate": 0.01},
                "instances": [{
                    "name": "simulated", "adapter": "simulated", "base-url": "simulated://b"}]},
        },
    },
}


def promtool(*arguments, text=None):
    return subprocess.run(
        [TOOLS / "promtool", *arguments], input=text, capture_output=True, text=True, check=False)


class Gateway:
    """The running program. `callers` and `operators` are where it listens."""

    def __enter__(self):
        self.config = tempfile.NamedTemporaryFile("w", suffix=".yaml")
        json.dump(CONFIGURATION, self.config)
        self.config.flush()
        self.process = subprocess.Popen(
            [os.environ["JAIROUTER"], self.config.name], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.process.stdout:
            if "listening on http://" in line:
                self.callers = line.split("http://")[1].strip()
            if line.startswith("Operators: http://"):
                self.operators = line.split("http://")[1].split("/")[0]
                return self
        raise RuntimeError("the program does not say where operators ask")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.config.close()

    def post(self, path, **body):
        connection = http.client.HTTPConnection(self.callers, timeout=10)
        connection.request(
            "POST", path, json.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status

    def traffic(self):
        chat = {"model": "simulated", "messages": [{"role": "user", "content": "hi"}]}
        statuses = {
            self.post("/v1/chat/completions", **chat),
            self.post("/v1/chat/completions", **chat, stream=True,
                      stream_options={"include_usage": True}),
            self.post("/v1/chat/completions", **{**chat, "model": "nobody's"}),
        }
        for _ in range(3):
            statuses.add(self.post("/v1/embeddings", model="simulated", input="hi"))
        return statuses


class Prometheus:
    """A running Prometheus that scrapes these operators. `query` asks it."""

    def __init__(self, operators):
        self.folder = tempfile.TemporaryDirectory()
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES.resolve())],
            "scrape_configs": [
                {"job_name": "jairouter", "static_configs": [{"targets": [operators]}]}],
        }
        path = pathlib.Path(self.folder.name) / "prometheus.yml"
        path.write_text(json.dumps(config))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.process = subprocess.Popen(
            [TOOLS / "prometheus", f"--config.file={path}", f"--web.listen-address={self.address}",
             f"--storage.tsdb.path={self.folder.name}/data", "--log.level=error"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()

    def get(self, path):
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=10) as answer:
            return json.load(answer)

    def query(self, expression):
        asked = urllib.parse.urlencode({"query": expression})
        return self.get(f"/api/v1/query?{asked}")["data"]["result"]


class DeployTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gateway = cls.enterClassContext(Gateway())
        cls.prometheus = Prometheus(cls.gateway.operators)
        cls.addClassCleanup(cls.prometheus.close)

    def test_the_rules_are_rules(self):
        checked = promtool("check", "rules", str(RULES))
        self.assertEqual(checked.returncode, 0, checked.stderr + checked.stdout)

    def test_the_scrape_is_taken_without_a_word(self):
        self.gateway.traffic()
        with urllib.request.urlopen(f"http://{self.gateway.operators}/metrics") as answer:
            text = answer.read().decode()
        checked = promtool("check", "metrics", text=text)
        self.assertEqual((checked.returncode, checked.stderr), (0, ""), checked.stdout)

    def test_every_query_of_the_dashboard_returns_data(self):
        dashboard = json.loads((DEPLOY / "grafana" / "jairouter.json").read_text())
        queries = {
            target["expr"].replace("$__rate_interval", "1m")
            for panel in dashboard["panels"] for target in panel["targets"]}
        self.assertGreaterEqual(len(queries), 14)
        deadline = time.monotonic() + 60
        empty = queries
        # A rate needs two scrapes with something in between.
        while empty and time.monotonic() < deadline:
            self.gateway.traffic()
            time.sleep(1)
            try:
                empty = {query for query in empty if not self.prometheus.query(query)}
            except OSError:
                continue
        self.assertFalse(empty)

    def test_the_alerts_are_loaded_and_well(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                groups = self.prometheus.get("/api/v1/rules")["data"]["groups"]
            except OSError:
                groups = []
            rules = [rule for group in groups for rule in group["rules"]]
            if rules and all(rule["health"] == "ok" for rule in rules):
                break
            time.sleep(0.5)
        self.assertEqual(len(rules), RULES.read_text().count("- alert:"))
        self.assertEqual({rule["health"] for rule in rules}, {"ok"}, rules)


if __name__ == "__main__":
    unittest.main()
