# shellcheck shell=bash
# Sourced by the scripts of the engines: how one is installed, started, asked and ended.
source scripts/tools.sh

run=$(mktemp -d)
pids=()

# tree PID: it and all it has started that still run.
tree() {
    local child
    echo "$1"
    while read -r child; do
        [[ -z $child ]] || tree "$child"
    done < <(cat /proc/"$1"/task/*/children 2>/dev/null | tr ' ' '\n')
}

# end PID: asks it to end, and makes it and what it leaves behind.
end() {
    local all pid
    mapfile -t all < <(tree "$1")
    kill "$1" 2>/dev/null || true
    for _ in {1..100}; do
        kill -0 "$1" 2>/dev/null || break
        sleep 0.1
    done
    for pid in "${all[@]}"; do
        kill -KILL "$pid" 2>/dev/null || true
    done
    wait "$1" 2>/dev/null || true
}

# await COMMAND…: runs it so that a signal need not wait for its end.
await() {
    local status=0
    "$@" &
    pids+=($!)
    wait "$!" || status=$?
    unset 'pids[-1]'
    return "$status"
}

finish() {
    local status=$? at
    trap '' INT TERM
    # The last first: it uses the others.
    for ((at = ${#pids[@]} - 1; at >= 0; at--)); do
        end "${pids[at]}"
    done
    rm -rf "$run"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

# uv_env NAME REQUIREMENTS: like python_env, but by uv, which keeps one copy of what several environments
# have, and for Python 3.11, as engines come with parts that are built for one version. Sets `engine`.
uv_env() {
    local env=$tools/$1
    export UV_CACHE_DIR=$tools/uv-cache UV_HTTP_TIMEOUT=300 UV_PYTHON_DOWNLOADS=never
    if ! cmp --quiet "$2" "$env/requirements.txt"; then
        python_env uv scripts/engines/requirements.txt
        rm -rf "$env"
        "$tools/uv/bin/uv" venv --quiet --python 3.11 "$env"
        # The list is of everything. What the packages ask for themselves cannot always be had.
        await "$tools/uv/bin/uv" pip install --quiet --python "$env" --no-deps --requirements "$2"
        cp "$2" "$env/requirements.txt"
    fi
    # shellcheck disable=SC2034 # its callers use it
    engine=$env
}

# free_ports NUMBER: sets `ports` to as many that nobody listens on.
free_ports() {
    local code='import socket, sys
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(taken.getsockname()[1] for taken in sockets))'
    # shellcheck disable=SC2034 # its callers use it
    read -ra ports < <(python3 -c "$code" "$1")
}

# serve NAME READY COMMAND…: starts it, and returns when the URL READY answers.
serve() {
    local name=$1 ready=$2 started=$SECONDS
    shift 2
    "$@" >"$run/$name.log" 2>&1 </dev/null &
    pids+=($!)
    while ((SECONDS - started < 300)); do
        if python3 -c 'import sys, urllib.request as web; web.urlopen(sys.argv[1], timeout=5)' "$ready" \
            2>/dev/null; then
            echo "$name answers after $((SECONDS - started)) s"
            return 0
        fi
        kill -0 "${pids[-1]}" 2>/dev/null || break
        sleep 0.5
    done
    cat "$run/$name.log" >&2
    echo "$name does not answer" >&2
    return 1
}

# models: makes the models of random weights, in $models.
models() {
    python_env engines tests/sdk/engines/requirements.txt
    models=$run/models
    "$python" tests/sdk/engines/tiny_hf.py "$models"
}

# suite NAME: runs the tests of this engine.
suite() {
    program
    python_env engines tests/sdk/engines/requirements.txt
    PYTHONPATH=$PWD/tests/sdk:$PWD/tests/sdk/engines PYTHONDONTWRITEBYTECODE=1 \
        await "$python" -W error::ResourceWarning -m unittest discover -v -s "tests/sdk/engines/$1"
}
