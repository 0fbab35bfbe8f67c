#!/usr/bin/env bash
# The status page in a real Chromium, which is Debian's package, unpacked and not installed: with it comes what it
# needs and the system has not. JAIROUTER_SCREENSHOT=FILE keeps a picture of the page.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

if ! command -v chromium >/dev/null; then
    debian chromium --with-dependencies chromium fonts-dejavu-core
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

if [[ -n ${unpacked:-} ]]; then
    CHROMIUM=$unpacked/usr/lib/chromium/chromium
    libraries=$unpacked/usr/lib/$(uname -m)-linux-gnu
    export LD_LIBRARY_PATH=$libraries:$libraries/pulseaudio:$libraries/blas:$libraries/lapack
    if [[ -d $unpacked/etc/fonts ]]; then
        export FONTCONFIG_SYSROOT=$unpacked
    fi
else
    CHROMIUM=$(command -v chromium)
fi
export CHROMIUM NODE_PATH=$node/node_modules
node --test --test-reporter=spec tests/browser/*.test.cjs
