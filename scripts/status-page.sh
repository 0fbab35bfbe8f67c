#!/usr/bin/env bash
# The status page in a real Chromium, which is Debian's package, unpacked and not installed: with it comes what it
# needs and the system has not. JAIROUTER_SCREENSHOT=FILE keeps a picture of the page.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

chromium=$tools/chromium

# With folders of our own, for which nobody has to be root; what the system has is not fetched again.
download() {
    local options=(-qq -y -o "Dir::State::Lists=$chromium/lists" -o "Dir::Cache::Archives=$chromium/deb"
        -o "Dir::Cache::PkgCache=" -o "Dir::Cache::SrcPkgCache=" -o "APT::Sandbox::User=$(id -un)"
        -o Acquire::Languages=none -o Acquire::Retries=3 -o Debug::NoLocking=1)
    mkdir -p "$chromium"/{lists,deb}/partial
    apt-get "${options[@]}" update
    apt-get "${options[@]}" --no-install-recommends --download-only install chromium fonts-dejavu-core
}

if ! command -v chromium >/dev/null && [[ ! -e $chromium/complete ]]; then
    need apt-get dpkg-deb
    rm -rf "$chromium"
    download
    for package in "$chromium"/deb/*.deb; do
        dpkg-deb --extract "$package" "$chromium"
    done
    rm -rf "$chromium"/{deb,lists}
    touch "$chromium/complete"
fi
need npm node
program

node=$tools/browser
if ! cmp --quiet tests/browser/package-lock.json "$node/complete"; then
    mkdir -p "$node"
    cp tests/browser/package.json tests/browser/package-lock.json "$node"
    npm ci --prefix "$node" --silent --no-audit --no-fund
    cp "$node/package-lock.json" "$node/complete"
fi

if [[ -e $chromium/complete ]]; then
    CHROMIUM=$chromium/usr/lib/chromium/chromium
    libraries=$chromium/usr/lib/$(uname -m)-linux-gnu
    export LD_LIBRARY_PATH=$libraries:$libraries/pulseaudio:$libraries/blas:$libraries/lapack
    if [[ -d $chromium/etc/fonts ]]; then
        export FONTCONFIG_SYSROOT=$chromium
    fi
else
    CHROMIUM=$(command -v chromium)
fi
export CHROMIUM NODE_PATH=$node/node_modules
node --test --test-reporter=spec tests/browser/*.test.cjs
