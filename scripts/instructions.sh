#!/usr/bin/env bash
# What the gateway's own work costs, in instructions and in allocations, as valgrind's callgrind counts them: for each
# case that jairouter-micro has, or for those whose name begins with one of the words given.
#
# Each case is done twice, a few times and many times, and the difference is divided: starting up, making ready and
# the first rounds cancel out. What it prints is a table, and what costs over a seventh more than benches/micro/instructions.txt
# says is told and fails. `--renew` writes that file: the counts are those of one compiler and one libc.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

counts=benches/micro/instructions.txt
renew=
if [[ ${1:-} == --renew ]]; then
    renew=1
    shift
fi

valgrind=valgrind
if ! command -v valgrind >/dev/null; then
    debian valgrind valgrind
    valgrind=$unpacked/usr/bin/valgrind
    export VALGRIND_LIB=$unpacked/usr/libexec/valgrind
fi

cargo bench --quiet -p jairouter-micro --no-run
program=$(cargo bench --quiet -p jairouter-micro --no-run --message-format=json |
    sed -n 's/.*"name":"micro".*"executable":"\([^"]*\)".*/\1/p')

# count CASE TIMES: prints the instructions and the calls of malloc and its kin of so many rounds.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
count() {
    "$valgrind" --tool=callgrind --callgrind-out-file="$scratch/out" --compress-strings=no \
        "$program" count "$1" "$2" >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; return 1; }
    awk '/^cfn=/ { callee = substr($0, 5) }
        /^calls=/ && callee ~ /^(malloc|calloc|realloc|posix_memalign|aligned_alloc)$/ {
            split($0, words, "[= ]"); allocations += words[2]
        }
        /^(summary|totals):/ { instructions = $2 }
        END { printf "%.0f %.0f\n", instructions, allocations }' "$scratch/out"
}

# cost CASE: prints both of one round.
cost() {
    local few many rounds=200
    # What goes through much in a round need not be done so often.
    case $1 in
        */256KiB | *-256KiB | */1000 | */10000 | stack/stream/128) rounds=20 ;;
    esac
    few=$(count "$1" 10)
    many=$(count "$1" $((10 + rounds)))
    echo "$few $many" | awk -v rounds="$rounds" '{ printf "%.0f %.1f\n", ($3 - $1) / rounds, ($4 - $2) / rounds }'
}

wanted() {
    (($# > 1)) || return 0
    local prefix
    for prefix in "${@:2}"; do
        [[ $1 != "$prefix"* ]] || return 0
    done
    return 1
}

more=0
[[ -z $renew ]] || : >"$scratch/counts"
printf '| case | instructions | allocations |\n|---|---:|---:|\n'
while read -r name; do
    wanted "$name" "$@" || continue
    read -r instructions allocations <<<"$(cost "$name")"
    printf "| \`%s\` | %s | %s |\n" "$name" "$instructions" "$allocations"
    [[ -z $renew ]] || echo "$name $instructions $allocations" >>"$scratch/counts"
    # 50 instructions and half an allocation are nobody's regression.
    if told=$(awk -v name="$name" -v i="$instructions" -v a="$allocations" \
        '$1 == name && (i > $2 * 1.15 + 50 || a > $3 * 1.15 + 0.5) {
            print "it was", $2, "instructions and", $3, "allocations"; found = 1
        } END { exit !found }' "$counts") && [[ -z $renew ]]; then
        echo "$name costs more: $told" >&2
        more=1
    fi
done < <("$program" list)
[[ -z $renew ]] || mv "$scratch/counts" "$counts"
exit "$more"
