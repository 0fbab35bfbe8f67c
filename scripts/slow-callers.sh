#!/usr/bin/env bash
# Thousands of callers that are idle, silent or slow, by slowhttptest and by our own hand: they are let go on
# their clocks, cost what they may, and others are served. slowhttptest is Debian's package, unpacked and not installed.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

debian slowhttptest slowhttptest
need python3
program
SLOWHTTPTEST=$unpacked/usr/bin/slowhttptest python3 -B -W error -m unittest discover \
    --start-directory tests/crowds --verbose
