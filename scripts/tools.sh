# shellcheck shell=bash
# Sourced by the other scripts: where tools are installed, how a Python environment is made, and which
# program is tested.
tools=${JAIROUTER_TOOLS:-$PWD/.tools}
mkdir -p "$tools"

# need NAME…: ends the script, in words, if one of these programs is not there.
need() {
    local name
    for name in "$@"; do
        command -v "$name" >/dev/null || { echo "$0: there is no $name, and it needs one" >&2; exit 1; }
    done
}

# python_env NAME REQUIREMENTS: sets `python` to one that has exactly these packages; made once.
python_env() {
    local env=$tools/$1
    if ! cmp --quiet "$2" "$env/requirements.txt"; then
        need python3
        rm -rf "$env"
        python3 -m venv "$env"
        "$env/bin/pip" install --quiet --disable-pip-version-check --requirement "$2"
        cp "$2" "$env/requirements.txt"
    fi
    # shellcheck disable=SC2034 # its callers use it
    python=$env/bin/python
}

# cargo_tool NAME VERSION: has a tool of cargo's at hand; built once. Unoptimised: they run for seconds, and build in a
# fraction of the time.
cargo_tool() {
    PATH=$tools/cargo/bin:$PATH
    command -v "$1" >/dev/null || cargo install --quiet --locked --debug --root "$tools/cargo" --version "$2" "$1"
}

# published CONDITION: a line for each crate that is published and of which this is true, in Python: its name, version
# and manifest. New crates are found by it.
published() {
    need python3
    cargo metadata --no-deps --format-version 1 --locked | python3 -c '
import json, os, sys
for package in json.load(sys.stdin)["packages"]:
    is_library = not any("bin" in target["kind"] for target in package["targets"])
    features, metadata = package["features"], package["metadata"] or {}
    if package["publish"] is None and eval(sys.argv[1]):
        print(package["name"], package["version"], os.path.relpath(package["manifest_path"]))' "$1"
}

# chosen CONDITION: sets `chosen` to the arguments that name these crates to cargo.
chosen() {
    local name
    chosen=()
    while read -r name _; do
        chosen+=(--package "$name")
    done < <(published "$1")
    ((${#chosen[@]})) || { echo "$0: no crate is published of which this is true: $1" >&2; return 1; }
}

# timed NAME COMMAND…: runs it, and says how long it took.
timed() {
    local start=$SECONDS
    "${@:2}"
    printf '%6ss  %s\n' "$((SECONDS - start))" "$1"
}

# debian NAME [--with-dependencies] PACKAGE…: sets `unpacked` to a folder with these packages of Debian's, unpacked and
# not installed; made once. What the system has of their dependencies is not fetched again.
debian() {
    unpacked=$tools/$1
    shift
    [[ ! -e $unpacked/complete ]] || return 0
    need apt-get dpkg-deb
    rm -rf "$unpacked"
    mkdir -p "$unpacked"/{lists,deb}/partial
    # With folders of our own, for which nobody has to be root.
    local options=(-qq -y -o "Dir::State::Lists=$unpacked/lists" -o "Dir::Cache::Archives=$unpacked/deb"
        -o "Dir::Cache::PkgCache=" -o "Dir::Cache::SrcPkgCache=" -o "APT::Sandbox::User=$(id -un)"
        -o Acquire::Languages=none -o Acquire::Retries=3 -o Debug::NoLocking=1)
    apt-get "${options[@]}" update
    if [[ $1 == --with-dependencies ]]; then
        apt-get "${options[@]}" --no-install-recommends --download-only install "${@:2}"
    else
        (cd "$unpacked/deb" && apt-get "${options[@]}" download "$@")
    fi
    local package
    for package in "$unpacked"/deb/*.deb; do
        dpkg-deb --extract "$package" "$unpacked"
    done
    rm -rf "$unpacked"/{deb,lists}
    touch "$unpacked/complete"
}

# program: exports JAIROUTER, the program under test: the one named there already, or the release build.
program() {
    if [[ -z ${JAIROUTER:-} ]]; then
        cargo build --release --quiet
        JAIROUTER=${CARGO_TARGET_DIR:-target}/release/jairouter
    fi
    JAIROUTER=$(realpath "$JAIROUTER")
    export JAIROUTER
}
