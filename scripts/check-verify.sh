#!/usr/bin/env bash
# Has `ponens verify` judge losses that are right and the known ways to get them wrong.
# Usage: scripts/check-verify.sh [PYTHON]   (a python with torch; default python3)
set -euo pipefail
cd "$(dirname "$0")/.."
python=$(command -v "${1:-python3}")
"$python" -c 'import torch' || { echo "$python has no torch: pip install torch" >&2; exit 1; }
PONENS_PYTHON=$python cargo test --quiet --locked -p ponens --test commands -- --ignored --nocapture --test-threads 1 verify::
