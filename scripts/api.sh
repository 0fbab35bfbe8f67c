#!/usr/bin/env bash
# What the crates promise to whoever depends on them: that a version breaks nothing it may not, whose types their
# signatures name, how old their dependencies may be, and how old a Rust.
#
# Two of these need rustdoc's JSON and cargo's unstable resolver, which a stable toolchain has behind RUSTC_BOOTSTRAP=1.
# What is built here stays in target/api.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh
need git

out=$PWD/target/api
export CARGO_TARGET_DIR=$out

# Against the last release. A library that had none has promised nothing yet; the program has no API.
semver() {
    local tag name manifest found=()
    if ! tag=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null); then
        echo "semver: NOT CHECKED, there is no release (no tag v…) to hold this against"
        return
    fi
    while read -r name _ manifest; do
        if git cat-file -e "$tag:$manifest" 2>/dev/null; then
            found+=(--package "$name")
        else
            echo "semver: $name is not in $tag"
        fi
    done < <(published is_library)
    cargo_tool cargo-semver-checks 0.51.0
    cargo semver-checks --baseline-rev "$tag" "${found[@]}"
}

# Each crate that says in its manifest whose types may be in its API. The tool reads the JSON of one version of
# rustdoc's format: another toolchain may need another version of it, and then it says so and fails.
external_types() {
    local name manifest any=
    cargo_tool cargo-check-external-types 0.5.0
    while read -r name _ manifest; do
        echo "external types: $name"
        RUSTC_BOOTSTRAP=1 cargo check-external-types --all-features --manifest-path "$manifest"
        any=1
    done < <(published '"cargo_check_external_types" in metadata')
    [[ -n $any ]] || { echo "external types: no crate says whose it may name" >&2; return 1; }
}

# docs.rs has a nightly, which labels what a feature brings; a stable build never comes to that attribute.
docs_rs() {
    local name manifest page
    chosen "is_library and features"
    RUSTC_BOOTSTRAP=1 RUSTDOCFLAGS="--cfg docsrs -D warnings" \
        cargo doc --quiet --no-deps --all-features "${chosen[@]}"
    while read -r name _ manifest; do
        # A feature may be asked for at run time alone.
        grep --recursive --quiet --exclude-dir tests '#\[cfg(feature' "$(dirname "$manifest")/src" || continue
        page=$out/doc/${name//-/_}/index.html
        grep --quiet 'Available on crate feature' "$page" ||
            { echo "docs.rs: nothing in $name says which feature it needs" >&2; return 1; }
    done < <(published "is_library and features")
}

# The oldest that the manifests allow of what they name, and of what these need in turn the newest. In a copy, in which
# the crates that are not published are no members: what they ask for would lift what others are given.
minimal_versions() {
    local copy=$out/minimal manifest members=""
    rm -rf "$copy"
    mkdir -p "$copy"
    git ls-files -z --cached --others --exclude-standard -- '*.rs' '*.toml' 'jairouter-*' |
        xargs -0 cp --parents --no-dereference --preserve=timestamps -t "$copy"
    while read -r _ _ manifest; do
        members+="\"$(dirname "$manifest")\", "
    done < <(published True)
    chosen is_library
    sed -i "s#^members = .*#members = [$members]#; /^default-members/d" "$copy/Cargo.toml"
    echo "minimal versions: ${chosen[*]//--package/}"
    (
        cd "$copy"
        RUSTC_BOOTSTRAP=1 cargo update --quiet -Z direct-minimal-versions
        cargo check --quiet --lib --all-features "${chosen[@]}"
    )
}

# The Rust that the manifests name. `cargo clippy` holds what is used of the standard library against it, in every run
# of .ci/run; what is left is what others ask for, and the language.
oldest_rust() {
    local oldest toolchain
    oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    cargo metadata --format-version 1 --locked | python3 -c '
import json, sys
def number(version):
    return [int(part) for part in version.split(".")][:2]
told = json.load(sys.stdin)
packages = {package["id"]: package for package in told["packages"]}
nodes = {node["id"]: node for node in told["resolve"]["nodes"]}
left = [package["id"] for package in told["packages"] if package["source"] is None and package["publish"] is None]
seen = set(left)
while left:
    for dependency in nodes[left.pop()]["deps"]:
        is_built = any(kind["kind"] != "dev" for kind in dependency["dep_kinds"])
        if is_built and dependency["pkg"] not in seen:
            seen.add(dependency["pkg"])
            left.append(dependency["pkg"])
newer = []
for package in map(packages.get, seen):
    if package["rust_version"] and number(package["rust_version"]) > number(sys.argv[1]):
        newer.append("%s %s needs Rust %s" % (package["name"], package["version"], package["rust_version"]))
print(f"Rust {sys.argv[1]}: {len(seen)} crates, none asks for a newer one" if not newer else "\n".join(newer))
sys.exit(bool(newer))' "$oldest"
    toolchain=$(rustup toolchain list 2>/dev/null | grep --max-count 1 "^$oldest" | cut -d ' ' -f 1) || true
    if [[ -n $toolchain ]]; then
        cargo "+$toolchain" check --locked --workspace
    else
        echo "Rust $oldest: NOT BUILT with it, rustup has none. Syntax that is newer would not be noticed"
    fi
}

timed "semver" semver
timed "external types" external_types
timed "as docs.rs shows it" docs_rs
timed "minimal versions" minimal_versions
timed "the oldest Rust" oldest_rust
