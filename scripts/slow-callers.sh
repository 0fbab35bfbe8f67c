#!/usr/bin/env bash
# Thousands of callers that are idle, silent or slow, by slowhttptest and by our own hand: they are let go on
# their clocks, cost what they may, and others are served. slowhttptest is Debian's package, unpacked and not installed.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

slowhttptest=$tools/slowhttptest

# With lists of our own, for which nobody has to be root.
download() {
    local options=(-qq -o "Dir::State::Lists=$slowhttptest/lists" -o "Dir::Cache::PkgCache="
        -o "Dir::Cache::SrcPkgCache=" -o "APT::Sandbox::User=$(id -un)" -o Acquire::Languages=none
        -o Acquire::Retries=3)
    mkdir -p "$slowhttptest/lists/partial" "$slowhttptest/deb"
    apt-get "${options[@]}" update
    (cd "$slowhttptest/deb" && apt-get "${options[@]}" download slowhttptest)
}

if [[ ! -x $slowhttptest/usr/bin/slowhttptest ]]; then
    need apt-get dpkg-deb
    rm -rf "$slowhttptest"
    download
    dpkg-deb --extract "$slowhttptest"/deb/slowhttptest_*.deb "$slowhttptest"
    rm -rf "$slowhttptest"/{deb,lists}
fi
need python3
program
SLOWHTTPTEST=$slowhttptest/usr/bin/slowhttptest python3 -B -W error -m unittest discover \
    --start-directory tests/crowds --verbose
