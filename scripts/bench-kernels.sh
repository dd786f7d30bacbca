#!/usr/bin/env bash
# Measures the kernels and prints the tables of docs/kernels.md. Run it on an otherwise idle machine.
#
#   scripts/bench-kernels.sh                          without PyTorch
#   scripts/bench-kernels.sh venv/bin/python          with the PyTorch of that Python
#   scripts/bench-kernels.sh venv/bin/python --part logits --rounds 15
#   PONENS=target/release/ponens scripts/bench-kernels.sh --part hidden      without building first
#
# What follows the Python goes to `ponens bench`. Memory: about 12 GB at the largest shape.
set -euo pipefail
cd "$(dirname "$0")/.."
python=()
if [[ $# -gt 0 && $1 != --* ]]; then
    python=(--python "$1")
    shift
fi
if [ -z "${PONENS:-}" ]; then
    cargo build --release -p ponens
    PONENS=target/release/ponens
fi
exec "$PONENS" bench "${python[@]}" "$@"
