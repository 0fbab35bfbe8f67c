#!/usr/bin/env bash
# What is in deploy/ for Docker, systemd and Kubernetes: each by the checker of its own kind, and its ports, paths and
# metrics against the program. systemd is Debian's package, unpacked and not installed.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

systemd=$tools/systemd

# With lists of our own, for which nobody has to be root.
download() {
    local options=(-qq -o "Dir::State::Lists=$systemd/lists" -o "Dir::Cache::PkgCache="
        -o "Dir::Cache::SrcPkgCache=" -o "APT::Sandbox::User=$(id -un)" -o Acquire::Languages=none
        -o Acquire::Retries=3)
    mkdir -p "$systemd/lists/partial" "$systemd/deb"
    apt-get "${options[@]}" update
    (cd "$systemd/deb" && apt-get "${options[@]}" download systemd libsystemd-shared libseccomp2 libapparmor1 \
        libip4tc2 libkmod2)
}

if [[ ! -x $systemd/usr/bin/systemd-analyze ]]; then
    need apt-get dpkg-deb
    rm -rf "$systemd"
    download
    for package in "$systemd"/deb/*.deb; do
        dpkg-deb --extract "$package" "$systemd"
    done
    rm -rf "$systemd"/{deb,lists}
fi
program
python_env deploy scripts/deploy-requirements.txt
SYSTEMD=$systemd "$python" -B -W error -m unittest discover --start-directory tests/deploy --verbose
