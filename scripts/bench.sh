#!/usr/bin/env bash
# The program against nginx and a bare hyper proxy, each on a core of its own: docs/performance.md.
#
# Arguments are those of `jairouter-bench run`. --quick runs everything once and briefly: every request has to be answered
# as it should be, and nothing is said of how fast.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

need taskset
(($(nproc) > 1)) || { echo "$0: the gateway needs a core of its own, and there is one in all" >&2; exit 1; }
arguments=()
for argument in "$@"; do
    case $argument in
        --quick) arguments+=(--rounds 1 --phase 300 --streams 1000) ;;
        *) arguments+=("$argument") ;;
    esac
done
debian nginx nginx
program
cargo build --release --quiet -p jairouter-bench
"${CARGO_TARGET_DIR:-target}/release/jairouter-bench" run --jairouter "$JAIROUTER" \
    --nginx "$unpacked/usr/sbin/nginx" "${arguments[@]}"
