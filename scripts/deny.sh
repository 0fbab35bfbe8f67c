#!/usr/bin/env bash
# The tree's licences, sources and walls; its advisories where their database can be had.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

if ! command -v cargo-deny >/dev/null && [[ ! -x $tools/cargo/bin/cargo-deny ]]; then
    # Unoptimised: it runs for a second, and builds in a fraction of the time.
    cargo install --quiet --locked --debug --root "$tools/cargo" --version 0.20.2 cargo-deny
fi
PATH=$tools/cargo/bin:$PATH

cargo deny --offline check bans licenses sources
if cargo deny fetch db >/dev/null 2>&1; then
    cargo deny check advisories
else
    echo "advisories: NOT CHECKED, their database cannot be reached from here"
fi
