# Sourced by the other scripts: where tools are installed, and how a Python environment is made.
tools=${JAIROUTER_TOOLS:-$PWD/.tools}
mkdir -p "$tools"

# python_env NAME PACKAGE…: an environment with exactly these packages, made once.
python_env() {
    local env=$tools/$1
    shift
    if [[ ! -e $env/complete || $(cat "$env/complete") != "$*" ]]; then
        rm -rf "$env"
        python3 -m venv "$env"
        "$env/bin/pip" install --quiet --disable-pip-version-check "$@"
        printf '%s' "$*" >"$env/complete"
    fi
    python=$env/bin/python
}

# The program under test: the release build.
target=${CARGO_TARGET_DIR:-$PWD/target}
jairouter=$target/release/jairouter
