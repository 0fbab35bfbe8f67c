#!/usr/bin/env bash
# A real Prometheus scrapes the program: it takes the scrape and the alerts of deploy/, and every query of the
# dashboard there returns data. Prometheus is Debian's package, unpacked and not installed.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

prometheus=$tools/prometheus

# With lists of our own, for which nobody has to be root.
download() {
    local options=(-qq -o "Dir::State::Lists=$prometheus/lists" -o "Dir::Cache::PkgCache="
        -o "Dir::Cache::SrcPkgCache=" -o "APT::Sandbox::User=$(id -un)" -o Acquire::Languages=none
        -o Acquire::Retries=3)
    mkdir -p "$prometheus/lists/partial" "$prometheus/deb"
    apt-get "${options[@]}" update
    (cd "$prometheus/deb" && apt-get "${options[@]}" download prometheus)
}

if [[ ! -x $prometheus/usr/bin/promtool ]]; then
    need apt-get dpkg-deb
    rm -rf "$prometheus"
    download
    dpkg-deb --extract "$prometheus"/deb/prometheus_*.deb "$prometheus"
    rm -rf "$prometheus"/{deb,lists}
fi
need python3
program
PROMETHEUS=$prometheus/usr/bin python3 -B -W error -m unittest discover \
    --start-directory tests/prometheus --verbose
