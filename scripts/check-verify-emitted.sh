#!/usr/bin/env bash
# Has `ponens verify` compare every loss of the catalogue with the PyTorch file that `ponens emit` writes for it.
# Usage: scripts/check-verify-emitted.sh PYTHON [PONENS [LOSS..]]   (a python with torch; the built command)
# Prints a line a loss; exit status 1 unless all agree.
set -uo pipefail
cd "$(dirname "$0")/.."
python=$(command -v "${1:-python3}")
ponens=$(command -v "${2:-target/release/ponens}") || { echo "no ${2:-target/release/ponens}: cargo build --release -p ponens" >&2; exit 1; }
"$python" -c 'import torch' || { echo "$python has no torch: pip install torch" >&2; exit 1; }
shift $(($# < 2 ? $# : 2))
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
names=("$@")
if [ ${#names[@]} = 0 ]; then
    mapfile -t names < <("$ponens" list --format json | "$python" -c 'import json, sys; print(*[x["name"] for x in json.load(sys.stdin)], sep="\n")')
fi
wrong=0
for loss in "${names[@]}"; do
    file=$folder/ponens_${loss//[^a-zA-Z0-9_]/_}.py
    "$ponens" emit "$loss" --target torch >"$file" || { echo "$loss: not emitted"; wrong=1; continue; }
    function=$(sed -n 's/^__all__ = \["\([a-z0-9_]*\)".*/\1/p' "$file")
    out=$("$ponens" verify "$loss" --against "$file:$function" --python "$python" --rows "${ROWS:-20}" --format json 2>"$folder/errors")
    if [ -n "$out" ]; then
        verdict=$(printf %s "$out" | "$python" -c '
import json, sys
r = json.load(sys.stdin)
counts = ", ".join("{dtype} {case} {differ}/{compared}".format(**c) for c in r["compared"])
print(r["verdict"] + "; " + r["reduction"] + "; " + counts)
for d in r["differences"][:2]:
    print("    {dtype} {what}: {expected} expected, {got} given; {edge}; {rows}".format(**d)[:600])')
    else
        verdict="refused: $(cat "$folder/errors")"
    fi
    echo "$loss: $verdict"
    case $verdict in agrees*) ;; *) wrong=1 ;; esac
done
exit $wrong
