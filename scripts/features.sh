#!/usr/bin/env bash
# Every crate with as little as it can be asked for, and with its features in every combination that differs: that it
# builds, that its documentation does without a warning, and that what is shown there runs.
#
# A crate is found by having features. Its tests' dependencies lend it none here: cargo's resolver keeps them apart.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh
need python3 awk
timed "cargo-hack" cargo_tool cargo-hack 0.6.46

# The crates of this repository that are published and have features; of libraries alone with `libraries`.
featured() {
    cargo metadata --no-deps --format-version 1 --locked | python3 -c '
import json, sys
for package in json.load(sys.stdin)["packages"]:
    is_program = any("bin" in target["kind"] for target in package["targets"])
    if package["publish"] is None and package["features"] and not (is_program and sys.argv[1:]):
        print("--package", package["name"])' "$@"
}

# What was right is only counted.
hack() {
    cargo hack --log-group none "$@" 2>&1 | awk '
        /^info: running/ { count++ }
        /^info: / || /^$/ || /^running [0-9]+ test/ || /^[.i]+$/ || /^test result: ok/ || /^all doctests ran/ { next }
        { print }
        END { print count " combinations" }'
}

# What a program without a feature cannot do it refuses to be told. Tests that are elsewhere would be none, and pass.
refuses() {
    cargo test --quiet -p jairouter-bin --no-default-features --lib config |
        tee /dev/stderr | grep '^test result: ok\. [1-9]' >/dev/null
}

mapfile -t all < <(featured | tr ' ' '\n')
mapfile -t libraries < <(featured libraries | tr ' ' '\n')

# An adapter is a feature by being an optional dependency. Three at a time would be hundreds of them.
timed "builds" hack check --quiet --feature-powerset --optional-deps --depth 2 --exclude-features default "${all[@]}"
RUSTDOCFLAGS="-D warnings" timed "documentation" hack doc --quiet --no-deps --each-feature --optional-deps "${libraries[@]}"
# Their dependencies are built anew for many of them: quickly, then.
timed "examples in it" hack test --quiet --doc --each-feature --optional-deps "${libraries[@]}" \
    --config 'profile.dev.package."*".opt-level=0'
timed "a program without any" refuses
