#!/usr/bin/env bash
# Writes docs/accuracy.md: the rounding errors of every loss of the catalogue in f32 and f64, beside the loss as
# written. The points and their seed are fixed; what can differ between machines is how their libraries
# round exp and log. POINTS bounds the grid and the random points of each kind.
set -euo pipefail
cd "$(dirname "$0")/.."
profile=${PROFILE:-release}
flags=()
[ "$profile" = release ] && flags=(--release)
cargo build --quiet "${flags[@]}" -p ponens --bin ponens
folder=$([ "$profile" = release ] && echo release || echo debug)
page=$(mktemp docs/accuracy.XXXXXX)
trap 'rm -f "$page"' EXIT
"target/$folder/ponens" accuracy --all --page --points "${POINTS:-256}" > "$page"
chmod 644 "$page"
mv "$page" docs/accuracy.md
