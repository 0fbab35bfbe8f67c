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

# program: exports JAIROUTER, the program under test: the one named there already, or the release build.
program() {
    if [[ -z ${JAIROUTER:-} ]]; then
        cargo build --release --quiet
        JAIROUTER=${CARGO_TARGET_DIR:-target}/release/jairouter
    fi
    JAIROUTER=$(realpath "$JAIROUTER")
    export JAIROUTER
}
