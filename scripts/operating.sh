#!/usr/bin/env bash
# The steps of docs/operating.md, each run, and held against what the page says it prints.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh
need python3 curl bash
program
PYTHONPATH=tests/operating python3 -B -W error -m unittest discover --start-directory tests/operating --verbose
