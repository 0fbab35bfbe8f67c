#!/usr/bin/env bash
# No Rust file may be longer than 500 lines, nothing may be left open in one, and no page may lead
# to a file that is not there.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
fail() {
    echo "$1"
    failed=1
}

while read -r file; do
    lines=$(wc -l <"$file")
    ((lines <= 500)) || fail "$file has $lines lines: more than 500 is more than one idea"
done < <(git ls-files '*.rs')

if git grep -nE '\b(todo|unimplemented)!|\bTODO\b|\bFIXME\b|#\[ignore' -- '*.rs'; then
    fail "these are left open"
fi

while read -r page; do
    while read -r link; do
        [[ -e $(dirname "$page")/$link ]] || fail "$page leads to $link, which is not there"
    done < <(grep -oE '\]\([^)#: ]+[)#]' "$page" | sed 's/^](//; s/.$//')
done < <(git ls-files '*.md')

exit "$failed"
