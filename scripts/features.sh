#!/usr/bin/env bash
# Every crate with as little as it can be asked for, and with its features in every combination that differs: that it
# builds, that its documentation does without a warning, and that what is shown there runs.
#
# A crate is found by having features. Its tests' dependencies lend it none here: cargo's resolver keeps them apart.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh
need awk

# What was right is only counted.
hack() {
    cargo hack --log-group none "$@" 2>&1 | awk '
        /^info: running/ { count++ }
        /^info: / || /^$/ || /^running [0-9]+ test/ || /^[.i]+$/ || /^test result: ok/ || /^all doctests ran/ { next }
        { print }
        END { print count " combinations" }'
}

builds() {
    # An adapter is a feature by being an optional dependency. Three at a time would be hundreds of them.
    chosen features
    hack check --quiet --feature-powerset --optional-deps --depth 2 --exclude-features default "${chosen[@]}"
}

documentation() {
    chosen "is_library and features"
    RUSTDOCFLAGS="-D warnings" hack doc --quiet --no-deps --each-feature --optional-deps "${chosen[@]}"
}

examples() {
    chosen "is_library and features"
    # Their dependencies are built anew for many of them: quickly, then.
    hack test --quiet --doc --each-feature --optional-deps "${chosen[@]}" --config 'profile.dev.package."*".opt-level=0'
}

# What a program without a feature cannot do its file may not ask for. If those tests were elsewhere there would be none,
# and none would pass.
refuses() {
    local said
    chosen '"otlp" in features'
    said=$(cargo test --quiet "${chosen[@]}" --no-default-features --lib config) || { echo "$said"; return 1; }
    echo "$said"
    [[ $said == *"test result: ok. "[1-9]* ]]
}

timed "cargo-hack" cargo_tool cargo-hack 0.6.46
timed "builds" builds
timed "documentation" documentation
timed "examples in it" examples
timed "a program without any" refuses
