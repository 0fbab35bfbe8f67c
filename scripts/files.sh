#!/usr/bin/env bash
# No Rust file may be longer than 500 lines, and nothing may be left open in one.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
while read -r lines file; do
    if [[ $file != total && $lines -gt 500 ]]; then
        echo "$file has $lines lines: more than 500 is more than one idea"
        failed=1
    fi
done < <(git ls-files '*.rs' | xargs wc -l)

if git grep -nE '\b(todo|unimplemented)!|\bTODO\b|\bFIXME\b|#\[ignore' -- '*.rs'; then
    echo "these are left open"
    failed=1
fi
exit "$failed"
