#!/usr/bin/env bash
# Installs a llama.cpp server from Debian's unstable packages, and prints its path.
#
# Nothing is installed on the system: apt keeps its state in a folder of its own, the packages are only
# unpacked, and the server runs with the C library it was built for, by that library's own loader.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

llama=$tools/llama.cpp
server=$llama/llama-server

# For a system on which nothing is installed: its dependencies are everything it needs.
download() {
    local mirror
    mkdir -p "$llama"/apt/{lists/partial,archives/partial,empty}
    : >"$llama/apt/status"
    # shellcheck disable=SC2016 # it is apt's own variable
    mirror=$(apt-get indextargets --no-release-info --format '$(REPO_URI)' 'Created-By: Packages' \
        | grep -m 1 '/debian/$') \
        || { echo "llama.cpp: apt knows no Debian mirror to get it from" >&2; return 1; }
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s sid main\n' "$mirror" \
        >"$llama/apt/sources.list"
    cat >"$llama/apt/apt.conf" <<-CONF
	Dir::Etc::SourceList "$llama/apt/sources.list";
	Dir::Etc::SourceParts "$llama/apt/empty";
	Dir::Etc::PreferencesParts "$llama/apt/empty";
	Dir::State::Lists "$llama/apt/lists";
	Dir::State::Status "$llama/apt/status";
	Dir::Cache::Archives "$llama/apt/archives";
	Dir::Cache::PkgCache "";
	Dir::Cache::SrcPkgCache "";
	APT::Sandbox::User "$(id -un)";
	APT::Install-Recommends "false";
	Acquire::Languages "none";
	Acquire::Retries "3";
	CONF
    APT_CONFIG=$llama/apt/apt.conf apt-get -qq update
    APT_CONFIG=$llama/apt/apt.conf apt-get -qq --download-only install llama.cpp-tools
}

unpack() {
    local package loader libraries backend
    mkdir "$llama/root"
    for package in "$llama"/apt/archives/*.deb; do
        dpkg-deb --extract "$package" "$llama/root"
    done
    rm -rf "$llama/apt"
    loader=$(find "$llama/root/usr/lib" -name 'ld-linux*.so.*' -print -quit)
    libraries=$(find "$llama/root/usr/lib" -name '*.so*' -printf '%h\n' | sort -u | paste -sd :)
    # It looks for its backends where they would be installed, so one is named: the plainest of the
    # architecture, which runs on any processor.
    backend=$(find "$llama/root/usr/lib" -name 'libggml-cpu*.so' | sort | grep -m 1 -e x64 -e armv8.0 -e cpu.so)
    cat >"$server" <<-WRAPPER
	#!/bin/sh
	export GGML_BACKEND_PATH="$backend"
	exec "$loader" --library-path "$libraries" "$llama/root/usr/bin/llama-server" "\$@"
	WRAPPER
    chmod +x "$server"
}

if [[ ! -e $llama/complete ]]; then
    need apt-get dpkg-deb
    rm -rf "$llama"
    download >&2
    unpack
    "$server" --version >&2
    touch "$llama/complete"
fi
echo "$server"
