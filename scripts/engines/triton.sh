#!/usr/bin/env bash
# A real Triton, the one inside nvidia-pytriton, with a model of Python that has TensorRT-LLM's tensors,
# asked by the SDK: about 130 MB from PyPI.
set -euo pipefail
cd "$(dirname "$0")/../.."
source scripts/engines/common.sh
uv_env triton tests/sdk/engines/triton/requirements.txt

# Its backend wants the stub beside it that was built for this Python, whose library it finds by a path.
packages=$engine/lib/python3.11/site-packages
server=$packages/pytriton/tritonserver
mkdir -p "$run/backends/python"
cp "$server"/backends/python/* "$server/python_backend_stubs/3.11/triton_python_backend_stub" \
    "$run/backends/python"
library=$("$engine/bin/python" -c 'import sysconfig; print(sysconfig.get_config_var("LIBDIR"))')

export TRITON_MODELS=$run/models
cp -r tests/sdk/engines/triton/models "$TRITON_MODELS"
free_ports 1
export TRITON_URL=http://127.0.0.1:${ports[0]}
serve triton "$TRITON_URL/v2/health/ready" env \
    PATH="$engine/bin:$PATH" PYTHONPATH="$packages" LD_LIBRARY_PATH="$packages/nvidia_pytriton.libs:$library" \
    "$server/bin/tritonserver" --model-repository "$TRITON_MODELS" --backend-directory "$run/backends" \
    --http-address 127.0.0.1 --http-port "${ports[0]}" --allow-grpc false --allow-metrics false
suite triton
