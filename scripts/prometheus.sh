#!/usr/bin/env bash
# A real Prometheus scrapes the program: it takes the scrape and the alerts of deploy/, and every query of the
# dashboard there returns data. Prometheus is Debian's package, unpacked and not installed.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

debian prometheus prometheus
need python3
program
PROMETHEUS=$unpacked/usr/bin python3 -B -W error -m unittest discover \
    --start-directory tests/prometheus --verbose
