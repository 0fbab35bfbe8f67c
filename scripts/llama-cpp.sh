#!/usr/bin/env bash
# A real llama.cpp server with a model of random weights, asked directly and through the program.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh
program
llama_server=$(scripts/llama-server.sh)

python_env llama-cpp tests/sdk/llama_cpp/requirements.txt
export PYTHONPATH=$PWD/tests/sdk PYTHONDONTWRITEBYTECODE=1

run=$(mktemp -d)
pids=()
finish() {
    local pid
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true
    done
    rm -rf "$run"
}
trap finish EXIT
trap 'exit 130' INT TERM

"$python" tests/sdk/llama_cpp/tiny_model.py "$run/tiny.gguf"

# serve NAME OPTION…: starts a server on a free port; `url` is where it listens.
serve() {
    local log=$run/$1.log
    shift
    "$llama_server" --host 127.0.0.1 --port 0 --model "$run/tiny.gguf" --alias tiny --threads 1 \
        --jinja --slots --no-webui --offline "$@" >"$log" 2>&1 &
    pids+=($!)
    for _ in {1..300}; do
        url=$(sed -n 's|.*listening on \(http://[0-9.:]*\).*|\1|p' "$log")
        [[ -z $url ]] || return 0
        kill -0 "${pids[-1]}" 2>/dev/null || break
        sleep 0.1
    done
    cat "$log" >&2
    echo "llama-server does not listen" >&2
    return 1
}

# Room enough to be at work for a while when a caller leaves.
serve chat --ctx-size 131072 --parallel 2
export LLAMA_CHAT_URL=$url
serve embed --ctx-size 4096 --embeddings --pooling mean
export LLAMA_EMBED_URL=$url

"$python" -W error::ResourceWarning -m unittest discover -s tests/sdk/llama_cpp
