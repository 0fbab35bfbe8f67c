#!/usr/bin/env bash
# What a release consists of, in target/package: the program with its licences and what deploys it, a bill of its
# materials (CycloneDX), and their digests. For this machine's platform.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

need python3 sha256sum tar
cargo_tool cargo-cyclonedx 0.5.9

target=$(rustc -vV | sed -n 's/^host: //p')
version=$(cargo metadata --no-deps --format-version 1 --locked |
    python3 -c 'import json, sys; print(next(
        p["version"] for p in json.load(sys.stdin)["packages"] if p["name"] == "jairouter-bin"))')
name=jairouter-$version-$target
out=target/package
rm -rf "$out"
mkdir -p "$out/$name"

cargo build --release --locked --package jairouter-bin
cp "${CARGO_TARGET_DIR:-target}/release/jairouter" README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE "$out/$name"
cp -r deploy "$out/$name"

# It writes beside each manifest; only the program's is wanted.
cargo cyclonedx --quiet --manifest-path jairouter-bin/Cargo.toml --format json --spec-version 1.5 \
    --target "$target" --all-features --override-filename "$name.cdx"
# Where it was built is nobody's business.
sed "s#file://$PWD#file:///src#g" "jairouter-bin/$name.cdx.json" >"$out/$name.cdx.json"
git ls-files --others --exclude-standard -z -- "*/$name.cdx.json" | xargs -0 -r rm

# The same bytes each time, whoever packs them.
tar --create --gzip --file "$out/$name.tar.gz" --directory "$out" --sort=name --owner=0 --group=0 \
    --numeric-owner --mtime="@$(git log -1 --format=%ct)" "$name"
"$out/$name/jairouter" --version
rm -r "${out:?}/$name"
(cd "$out" && sha256sum -- * >SHA256SUMS && cat SHA256SUMS)
