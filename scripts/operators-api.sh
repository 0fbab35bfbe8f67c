#!/usr/bin/env bash
# The operators' API is what its own document says it is: Schemathesis asks it whatever that allows, and more.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh
program
python_env schemathesis tests/operators/requirements.txt

folder=$(mktemp -d)
trap 'kill "$gateway" 2>/dev/null; rm -rf "$folder"' EXIT
cat >"$folder/jairouter.yaml" <<'YAML'
server: { port: 0, log: { level: error } }
management: { server: { port: 0 } }
model:
  rate-limit: { enabled: true, capacity: 100, rate: 10, scope: service }
  circuit-breaker: { enabled: true }
  services:
    chat:
      instances:
        - { name: a, adapter: simulated, base-url: "simulated://a" }
        - { name: b, adapter: simulated, base-url: "simulated://b" }
YAML
"$JAIROUTER" "$folder/jairouter.yaml" >"$folder/said" &
gateway=$!
for _ in {1..100}; do
    url=$(sed -n 's|.*status page: \(http.*\)/$|\1|p' "$folder/said")
    [[ -z $url ]] || break
    sleep 0.1
done
cd "$folder"
# A body that is right by its schema may still make a configuration that is wrong; and the pictures never end.
"${python%/python}/schemathesis" run "$url/openapi.json" --seed 1 --max-examples 30 --no-color \
    --suppress-health-check all --exclude-checks positive_data_acceptance \
    --exclude-path /api/status/events --report-dir "$folder" >"$folder/report" ||
    { cat "$folder/report"; exit 1; }
tail --lines 12 "$folder/report"
kill -0 "$gateway"
