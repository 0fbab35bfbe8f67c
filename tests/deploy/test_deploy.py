"""What `deploy/` has for Docker, systemd and Kubernetes: its kind takes it, and it is true."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

import yaml

DEPLOY = pathlib.Path("deploy")
KUBERNETES = DEPLOY / "kubernetes"
BIN = pathlib.Path(sys.executable).parent
SYSTEMD = pathlib.Path(os.environ["SYSTEMD"]).resolve()
JAIROUTER = os.environ["JAIROUTER"]

# The oldest that is still looked after, and the newest there are schemas of.
VERSIONS = ["1.31", "1.37"]


def run(*arguments, **options):
    arguments = [str(argument) for argument in arguments]
    return subprocess.run(arguments, capture_output=True, text=True, check=False, **options)


def kubernetes(name):
    return yaml.safe_load((KUBERNETES / f"{name}.yaml").read_text())


def served():
    """What the config map has served."""
    return yaml.safe_load(kubernetes("configmap")["data"]["jairouter.yaml"])


def seconds(duration):
    return float(re.fullmatch(r"(\d+)s", duration)[1])


class Docker(unittest.TestCase):
    dockerfile = (DEPLOY / "docker" / "Dockerfile").read_text()

    def test_the_dockerfile_has_no_faults(self):
        checked = run(BIN / "hadolint", DEPLOY / "docker" / "Dockerfile")
        self.assertEqual((checked.returncode, checked.stdout), (0, ""))

    def test_what_it_runs_and_copies_is_there(self):
        version = re.search(r'rust-version = "(.*)"', pathlib.Path("Cargo.toml").read_text())[1]
        self.assertIn(f"FROM rust:{version}-", self.dockerfile)
        command = re.search(r"RUN (cargo .*)", self.dockerfile)[1].split()
        built = run(*command, "--offline")
        self.assertEqual(built.returncode, 0, built.stderr)
        self.assertIn("/src/target/release/jairouter ", self.dockerfile)
        ignored = pathlib.Path(".dockerignore").read_text().splitlines()
        for name in re.findall(r"^COPY (?!--)(\S+)", self.dockerfile, re.MULTILINE):
            self.assertTrue(pathlib.Path(name).exists(), name)
        # Every member of the workspace is let in, or cargo builds nothing.
        workspace = pathlib.Path("Cargo.toml").read_text()
        members = re.search(r"^members = \[(.*)\]", workspace, re.MULTILINE)[1]
        for member in re.findall(r'"(.*?)"', members):
            self.assertTrue({f"!{member}", f"!{member}/Cargo.toml"} & set(ignored), member)

    def test_the_image_serves_at_the_ports_that_it_names(self):
        file = DEPLOY / "docker" / "jairouter.yaml"
        checked = run(JAIROUTER, "check", file)
        self.assertEqual(checked.returncode, 0, checked.stderr)
        configuration = yaml.safe_load(file.read_text())
        ports = [configuration["server"]["port"], configuration["management"]["server"]["port"]]
        self.assertIn("EXPOSE {} {}".format(*ports), self.dockerfile)


class Systemd(unittest.TestCase):
    units = DEPLOY / "systemd"

    def analyze(self, folder, *arguments):
        libraries = [SYSTEMD / "usr/lib/x86_64-linux-gnu/systemd", SYSTEMD / "usr/lib/x86_64-linux-gnu",
                     SYSTEMD / "lib/x86_64-linux-gnu"]
        environment = {
            **os.environ, "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
            "SYSTEMD_UNIT_PATH": f"{folder}:{SYSTEMD / 'lib/systemd/system'}", "NO_COLOR": "1"}
        return run(SYSTEMD / "usr/bin/systemd-analyze", *arguments, env=environment)

    def verified(self, change=lambda text: text):
        """What systemd says of the units, with a program that is there."""
        with tempfile.TemporaryDirectory() as folder:
            for unit in self.units.iterdir():
                text = unit.read_text().replace("/usr/local/bin/jairouter", JAIROUTER)
                pathlib.Path(folder, unit.name).write_text(change(text))
            units = [pathlib.Path(folder, unit.name) for unit in self.units.iterdir()]
            return self.analyze(folder, "verify", "--man=no", "--recursive-errors=one", *units)

    def test_the_units_are_units(self):
        verified = self.verified()
        self.assertEqual((verified.returncode, verified.stderr), (0, ""))
        wrong = self.verified(lambda text: text.replace("ProtectClock", "ProtectClok"))
        self.assertIn("ProtectClok", wrong.stderr)

    def test_the_service_is_exposed_to_little(self):
        service = self.units / "jairouter.service"
        security = self.analyze(
            self.units.resolve(), "security", "--offline=yes", "--threshold=15", service.resolve())
        self.assertEqual(security.returncode, 0, security.stdout + security.stderr)

    def test_it_is_stopped_for_as_long_as_it_drains(self):
        stop = re.search(r"TimeoutStopSec=(\d+)s", (self.units / "jairouter.service").read_text())[1]
        drain = re.search(
            r"\| `drain-timeout` \| `(\d+)s`", pathlib.Path("docs/configuration.md").read_text())[1]
        self.assertGreater(int(stop), int(drain) + 5)


class Kubernetes(unittest.TestCase):
    def test_every_resource_is_one(self):
        names = [path for path in KUBERNETES.iterdir() if path.name != "prometheus-adapter.yaml"]
        self.assertGreater(len(names), 4)
        for version in VERSIONS:
            checked = run(BIN / "kubernetes-validate", "--strict", "-k", version, *names)
            self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as wrong:
            wrong.write((KUBERNETES / "service.yaml").read_text().replace("selector", "selektor"))
            wrong.flush()
            self.assertNotEqual(run(BIN / "kubernetes-validate", "--strict", wrong.name).returncode, 0)

    def test_what_is_named_is_there(self):
        pod = kubernetes("deployment")["spec"]["template"]
        container = pod["spec"]["containers"][0]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        configuration = served()
        operators = configuration["management"]["server"]["port"]
        self.assertEqual(ports, {"http": configuration["server"]["port"], "operators": operators})
        self.assertEqual(pod["metadata"]["annotations"]["prometheus.io/port"], str(operators))
        for probe in ["readinessProbe", "livenessProbe"]:
            self.assertIn(container[probe]["httpGet"]["port"], ports)
        for port in kubernetes("service")["spec"]["ports"]:
            self.assertIn(port["targetPort"], ports)
        mount, file = container["volumeMounts"][0]["mountPath"], container["args"][0]
        self.assertIn(file.removeprefix(f"{mount}/"), kubernetes("configmap")["data"])
        labels = pod["metadata"]["labels"].items()
        self.assertLessEqual(kubernetes("service")["spec"]["selector"].items(), labels)
        for name in ["deployment", "poddisruptionbudget"]:
            self.assertLessEqual(kubernetes(name)["spec"]["selector"]["matchLabels"].items(), labels)
        target = kubernetes("horizontalpodautoscaler")["spec"]["scaleTargetRef"]
        scaled = kubernetes("deployment")
        self.assertEqual((target["kind"], target["name"]), (scaled["kind"], scaled["metadata"]["name"]))

    def test_a_pod_has_the_time_to_drain(self):
        server = served()["server"]
        needed = seconds(server["shutdown-delay"]) + seconds(server["drain-timeout"])
        grace = kubernetes("deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        self.assertGreaterEqual(grace, needed + 5)

    def test_the_metric_it_is_scaled_by_is_one_of_the_program_s_that_serves_the_map(self):
        configuration = served()
        configuration["server"] |= {"address": "127.0.0.1", "port": 0}
        configuration["management"]["server"] |= {"address": "127.0.0.1", "port": 0}
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            json.dump(configuration, file)
            file.flush()
            process = subprocess.Popen(
                [JAIROUTER, file.name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, text=True)
            try:
                lines = iter(process.stdout.readline, "")
                url = next(line.split()[1] for line in lines if line.startswith("Operators: "))
                time.sleep(0.2)
                with urllib.request.urlopen(url) as answer:
                    metrics = answer.read().decode()
            finally:
                process.kill()
                process.wait()
                process.stdout.close()
        rule = kubernetes("prometheus-adapter")["rules"]["custom"][0]
        scaled = kubernetes("horizontalpodautoscaler")["spec"]["metrics"][0]["pods"]["metric"]["name"]
        self.assertEqual(scaled, rule["name"]["as"])
        self.assertEqual(rule["seriesQuery"].split("{")[0], scaled)
        self.assertRegex(metrics, rf"(?m)^{scaled}\{{.* 0\.0$")
        for label in rule["resources"]["overrides"]:
            # They are Prometheus's; the program has none of that name, which would be renamed.
            self.assertNotRegex(metrics, rf"(?m)^{scaled}\{{.*\b{label}=")
