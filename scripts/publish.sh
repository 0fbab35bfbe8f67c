#!/usr/bin/env bash
# The crates, as they would be published: each is packaged and built from its package, and a program of somebody else's
# (tests/scratch) and what the crates' READMEs show are built on these packages and run. Nothing is uploaded.
#
# All of it stays in target/publish, of which nothing else takes anything. New crates are found by themselves.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh
need python3 tar

out=$PWD/target/publish
packages=$out/package unpacked=$out/unpacked patch=$out/patch.toml

# Nobody steps through what is built here.
export CARGO_PROFILE_DEV_DEBUG=0

packaged() {
    rm -f "$packages"/*.crate
    chosen True
    # What lies here is checked, committed or not. They depend on each other by versions that no registry has yet:
    # cargo takes each from the packages made before.
    cargo package --quiet --locked --allow-dirty --target-dir "$out" "${chosen[@]}"
    ARCHIVES=$packages python3 -B -W error -m unittest discover --start-directory tests/publish --verbose
}

# For whoever depends on them by name and version, as if they had been published.
unpack() {
    local name version
    rm -rf "$unpacked" "$out"/{scratch,readmes}
    mkdir -p "$unpacked" "$out/readmes/src"
    echo "[patch.crates-io]" >"$patch"
    while read -r name version _; do
        # As new files: cargo decides by their times what is to be built again.
        tar --extract --touch --file "$packages/$name-$version.crate" --directory "$unpacked"
        printf '%s = { path = "%s" }\n' "$name" "$unpacked/$name-$version" >>"$patch"
    done < <(published True)
}

# stranger FOLDER ARGUMENT…: tests a crate that knows ours by the registry's names alone, with the versions of everything
# else that ours are tested with.
stranger() {
    local folder=$1
    shift
    cp Cargo.lock "$folder"
    cargo test --quiet --config "$patch" --manifest-path "$folder/Cargo.toml" --target-dir "$out/strangers" "$@"
}

readmes() {
    local name version page readmes=$out/readmes
    {
        printf '[package]\nname = "readmes"\nedition = "2024"\npublish = false\n[workspace]\n[dependencies]\n'
        while read -r name version _; do
            page=$unpacked/$name-$version/README.md
            if grep --quiet '^```rust' "$page"; then
                printf '%s = "%s"\n' "$name" "$version"
                printf '#[cfg(doctest)]\n#[doc = include_str!("%s")]\npub mod %s {}\n' "$page" "${name//-/_}" \
                    >>"$readmes/src/lib.rs"
            fi
        done < <(published True)
    } >"$readmes/Cargo.toml"
    stranger "$readmes" --doc
}

scratch() {
    cargo fmt --manifest-path tests/scratch/Cargo.toml --check
    cp -r tests/scratch "$out/scratch"
    stranger "$out/scratch"
}

timed "packages, each built by itself" packaged
unpack
timed "what their READMEs show" readmes
timed "a stranger's program" scratch
