#!/usr/bin/env bash
# The tree's licences, sources and walls; its advisories where their database can be had.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

PATH=$tools/cargo/bin:$PATH
if ! command -v cargo-deny >/dev/null; then
    # Unoptimised: it runs for a second, and builds in a fraction of the time.
    cargo install --quiet --locked --debug --root "$tools/cargo" --version 0.20.2 cargo-deny
fi

# Every platform's crates, not only this one's, have licences.
cargo fetch --quiet
cargo deny --offline check --hide-inclusion-graph bans licenses sources
if cargo deny fetch db >/dev/null 2>&1; then
    cargo deny check advisories
else
    echo "advisories: NOT CHECKED, their database cannot be reached from here"
fi
