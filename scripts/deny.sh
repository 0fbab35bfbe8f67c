#!/usr/bin/env bash
# The tree's licences, sources and walls; its advisories where their database can be had.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

cargo_tool cargo-deny 0.20.2

# Every platform's crates, not only this one's, have licences.
cargo fetch --quiet
cargo deny --offline check --hide-inclusion-graph bans licenses sources
if cargo deny fetch db >/dev/null 2>&1; then
    cargo deny check advisories
else
    echo "advisories: NOT CHECKED, their database cannot be reached from here"
fi
