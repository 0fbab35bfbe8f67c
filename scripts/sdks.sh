#!/usr/bin/env bash
# The official OpenAI SDKs, for Python and for JavaScript, against the program and scripted engines.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh
need npm node
program

python_env python-sdk tests/sdk/python/requirements.txt

node=$tools/node-sdk
if ! cmp --quiet tests/sdk/node/package-lock.json "$node/complete"; then
    mkdir -p "$node"
    cp tests/sdk/node/package.json tests/sdk/node/package-lock.json "$node"
    npm ci --prefix "$node" --silent --no-audit --no-fund
    cp "$node/package-lock.json" "$node/complete"
fi

export PYTHONPATH=$PWD/tests/sdk PYTHONDONTWRITEBYTECODE=1 NODE_PATH=$node/node_modules
"$python" tests/sdk/serve.py "$python" -W error::ResourceWarning -m unittest discover -s tests/sdk/python
"$python" tests/sdk/serve.py node --test --test-concurrency=1 --test-reporter=spec tests/sdk/node/*.test.cjs
