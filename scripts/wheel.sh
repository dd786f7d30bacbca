#!/usr/bin/env bash
# Builds the Python wheel, installs it by pip into a fresh environment, and runs the command from there.
# Usage: scripts/wheel.sh [FOLDER]   (where the wheel goes; default target/wheels)
# PYTHON names the Python (default python3), PROFILE the cargo profile (default release).
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-target/wheels}
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m venv "$work/build"
"$work/build/bin/pip" install --quiet 'maturin>=1.7,<2'
"$work/build/bin/maturin" build --locked --profile "${PROFILE:-release}" --out "$out"
wheel=$(ls -t "$out"/ponens-*.whl | head -1)
"$python" -m venv "$work/use"
"$work/use/bin/pip" install --quiet --no-index "$wheel"
cd "$work"
use/bin/ponens --version
use/bin/ponens emit orpo --target torch > orpo.py
use/bin/ponens list --format json | use/bin/python -c 'import json, sys; print(len(json.load(sys.stdin)), "losses")'
use/bin/python -m py_compile orpo.py
use/bin/pip uninstall --quiet --yes ponens
[ ! -e use/bin/ponens ] || { echo "the command is still there" >&2; exit 1; }
echo "$(basename "$wheel"), $(du -h "$OLDPWD/$wheel" 2>/dev/null | cut -f1 || du -h "$wheel" | cut -f1): built, installed, run, uninstalled"
