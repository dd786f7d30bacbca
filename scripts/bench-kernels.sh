#!/usr/bin/env bash
# Measures the kernels and prints the tables of docs/kernels.md. Run it on an otherwise idle machine.
#
#   scripts/bench-kernels.sh                          without PyTorch
#   scripts/bench-kernels.sh venv/bin/python          with the PyTorch of that Python
#   scripts/bench-kernels.sh venv/bin/python --part logits --rounds 15
#   scripts/bench-kernels.sh --page venv/bin/python   puts the tables into docs/kernels.md as well
#   PONENS=target/release/ponens scripts/bench-kernels.sh --part hidden      without building first
#
# What follows the Python goes to `ponens bench`. Memory: about 12 GB at the largest shape.
set -euo pipefail
cd "$(dirname "$0")/.."
page=
if [[ ${1:-} == --page ]]; then
    page=docs/kernels.md
    shift
fi
python=()
if [[ $# -gt 0 && $1 != --* ]]; then
    python=(--python "$1")
    shift
fi
if [ -z "${PONENS:-}" ]; then
    cargo build --release -p ponens
    PONENS=target/release/ponens
fi
if [ -z "$page" ]; then
    exec "$PONENS" bench "${python[@]}" "$@"
fi
tables=$(mktemp)
trap 'rm -f "$tables" "$page.new"' EXIT
"$PONENS" bench "${python[@]}" "$@" | tee "$tables"
awk -v tables="$tables" '
    /<!-- end of the figures -->/ { inside = 0 }
    !inside { print }
    /<!-- figures: scripts\/bench-kernels.sh --page -->/ {
        inside = 1
        print "\n```text"
        while ((getline line < tables) > 0) print line
        print "```\n"
    }' "$page" > "$page.new"
mv "$page.new" "$page"
