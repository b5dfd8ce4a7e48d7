#!/bin/bash
# What outputs of the same filter and format cost together: instructions in `filter/`, `format/` and reading for one
# output and for three, and for three of which each differs. Fails where three equal ones cost more than 1.3 times one in
# `format/`.
#
#   benches/site/equal.sh [FOREBAY] [LOG]      FOREBAY: the program, target/release/forebay; LOG: an .evtx file,
#                                              COPIES (50) of which are read; pipelines/sample.evtx
#
# Needs valgrind. Files are in a folder of their own under DIR (/tmp), which goes away.
set -euo pipefail
forebay=$(realpath "${1:-target/release/forebay}")
log=$(realpath "${2:-pipelines/sample.evtx}")
dir=$(mktemp -d "${DIR:-/tmp}/forebay-equal.XXXXXX")
trap 'rm -rf "$dir"' EXIT
cd "$dir"
mkdir logs
for copy in $(seq "${COPIES:-50}"); do cp "$log" "logs/$copy.evtx"; done

# Instructions of the lines in these rooms, inlined ones included; in millions.
count() {
    # It complains of lines without a count.
    callgrind_annotate --auto=no --threshold=100 --show=Ir "$1" 2>/dev/null | awk -v rooms="$2" '
        $0 ~ "src/(" rooms ")" && /^ *[0-9,]+/ { gsub(",", "", $1); sum += $1 } END { printf "%.1f", sum / 1e6 }'
}
for case in one three differing; do
    {
        printf '[basin.disk]\npath = "basin-%s"\nsize_max = "4GiB"\n' $case
        printf '[source.logs.evtx]\npath = "logs/*.evtx"\n'
        for output in a b c; do
            [ $case = one ] && [ $output != a ] && continue
            printf '[output.%s]\nformat.json = {}\nsink.file.path = "%s/%s.jsonl"\n' $output $case $output
            # What drops nothing is a filter of its own all the same.
            [ $case = differing ] && printf 'filter.drop = { provider = "none of %s" }\n' $output
        done
    } > $case.toml
    valgrind --quiet --tool=callgrind --callgrind-out-file=$case.callgrind "$forebay" run --once $case.toml >/dev/null 2>$case.log ||
        { cat $case.log; exit 1; }
    shaped=$(count $case.callgrind format/)
    [ $case = one ] && one=$shaped
    [ $case = three ] && three=$shaped
    echo "$case: $(wc -l < $case/a.jsonl) events, format/ $shaped M instructions," \
        "with event/ and filter/ $(count $case.callgrind '(format|event|filter)/') M"
done
awk -v one="$one" -v three="$three" 'BEGIN { printf "three equal ones: %.2f times one\n", three / one; exit three > 1.3 * one }'
