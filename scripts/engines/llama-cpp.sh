#!/usr/bin/env bash
# A real llama.cpp server, asked by the SDK: a program of Debian's unstable, about 90 MB.
set -euo pipefail
cd "$(dirname "$0")/../.."
source scripts/engines/common.sh
llama_server=$(scripts/llama-server.sh)

python_env llama-cpp tests/sdk/llama_cpp/requirements.txt
"$python" tests/sdk/llama_cpp/tiny_model.py "$run/tiny.gguf"

# llama NAME OPTION…: one more server; `url` is where it listens.
llama() {
    local name=llama-server-$1
    shift
    free_ports 1
    url=http://127.0.0.1:${ports[0]}
    serve "$name" "$url/health" "$llama_server" --host 127.0.0.1 --port "${ports[0]}" --alias tiny \
        --model "$run/tiny.gguf" --threads 1 --jinja --slots --no-webui --offline "$@"
}

llama chat --ctx-size 131072 --parallel 2
export LLAMA_CHAT_URL=$url
llama embed --ctx-size 4096 --embeddings --pooling mean
export LLAMA_EMBED_URL=$url
# With several slots, its scores depend on which slot a document comes into.
llama rerank --ctx-size 4096 --reranking --parallel 1
export LLAMA_RERANK_URL=$url
suite llama_cpp
