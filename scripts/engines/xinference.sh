#!/usr/bin/env bash
# A real Xinference with its transformers engines on the CPU, asked by the SDK: about 3 GB from PyPI,
# nearly all of it PyTorch, which has its CUDA libraries along.
set -euo pipefail
cd "$(dirname "$0")/../.."
source scripts/engines/common.sh
uv_env xinference tests/sdk/engines/xinference/requirements.txt
models

free_ports 1
export XINFERENCE_URL=http://127.0.0.1:${ports[0]}
# What it looks for is here, and it installs and sends nothing of its own.
serve xinference "$XINFERENCE_URL/v1/models" env \
    XINFERENCE_HOME="$run/xinference" XINFERENCE_ENABLE_VIRTUAL_ENV=0 XINFERENCE_DISABLE_METRICS=1 \
    XINFERENCE_AUTH_ADVANCED=false HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 OMP_NUM_THREADS=1 \
    "$engine/bin/xinference-local" --host 127.0.0.1 --port "${ports[0]}"
export XINFERENCE_PID=${pids[-1]}
await python3 tests/sdk/engines/xinference/launch.py "$XINFERENCE_URL" "$models"
suite xinference
