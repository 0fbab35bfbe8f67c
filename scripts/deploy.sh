#!/usr/bin/env bash
# What is in deploy/ for Docker, systemd and Kubernetes: each by the checker of its own kind, and its ports, paths and
# metrics against the program. systemd is Debian's package, unpacked and not installed.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

debian systemd systemd libsystemd-shared libseccomp2 libapparmor1 libip4tc2 libkmod2
program
python_env deploy scripts/deploy-requirements.txt
SYSTEMD=$unpacked "$python" -B -W error -m unittest discover --start-directory tests/deploy --verbose
