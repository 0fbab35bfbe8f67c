#!/usr/bin/env bash
# A real Prometheus scrapes the program: it takes the scrape and the alerts of deploy/, and every query of the
# dashboard there returns data. Prometheus is Debian's package, unpacked and not installed.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh
need apt-get dpkg-deb python3

prometheus=$tools/prometheus
if [[ ! -x $prometheus/usr/bin/promtool ]]; then
    rm -rf "$prometheus" && mkdir -p "$prometheus/deb"
    (cd "$prometheus/deb" && apt-get -qq download prometheus 2>/dev/null) \
        || { apt-get -qq update && cd "$prometheus/deb" && apt-get -qq download prometheus; }
    dpkg-deb --extract "$prometheus"/deb/prometheus_*.deb "$prometheus"
    rm -rf "$prometheus/deb"
fi
program
PROMETHEUS=$prometheus/usr/bin PYTHONPATH=tests/sdk python3 -B -W error -m unittest discover \
    --start-directory tests/prometheus --verbose
