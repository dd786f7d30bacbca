#!/usr/bin/env bash
# Checks generated PyTorch files against every reference record, in value and gradient, in f64 and f32.
# Usage: scripts/check-torch.sh [PYTHON]   (a python with torch; default python3)
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-python3}
"$python" -c 'import torch' || { echo "$python has no torch: pip install torch" >&2; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
PONENS_CASES="$folder" cargo test --quiet --locked -p ponens --test goldens -- --ignored --exact torch::cases_for_torch
"$python" scripts/check_torch.py "$folder"
