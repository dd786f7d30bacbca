#!/usr/bin/env bash
# Holds the model files that ponens reads and writes against Transformers and PEFT, both ways: every
# token's log-probability to 1e-4. Needs python with torch, transformers and peft (PYTHON names it).
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
example() { cargo run --quiet -p ponens-runtime --example check_exports -- "$@"; }

example write "$work/ours"
"$python" scripts/check-exports.py verify "$work/ours"
"$python" scripts/check-exports.py make "$work/theirs" | while read -r name; do
    printf '%s from transformers: ' "$name"
    example read "$work/theirs/$name" "$work/theirs/$name.json"
done
