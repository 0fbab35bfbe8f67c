#!/usr/bin/env bash
# The scripts and the Python of the tests, by shellcheck and ruff.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

python_env lint scripts/lint-requirements.txt
bin=$(dirname "$python")
git ls-files -z .ci/run 'scripts/*.sh' | xargs -0 "$bin/shellcheck" --external-sources
"$bin/ruff" check --no-cache --line-length 105 --select B,E,F,I,UP tests/sdk tests/crowds tests/deploy tests/publish
