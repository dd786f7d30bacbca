#!/usr/bin/env bash
# The comparison of docs/training.md: ponens and TRL's DPOTrainer on the same model, pairs, batch and threads, with
# an adapter and in full, with and without gradient checkpointing, and ponens on a base that stays in 4 bits.
# Wants a quiet machine: about ten minutes on two cores.
#
#   scripts/fetch-smollm2.sh && scripts/fetch-preferences.sh && PYTHON=venv/bin/python scripts/compare-trl.sh
#
# PYTHON has torch, trl, peft, transformers and datasets. PONENS (the command, instead of building it), MODEL (the
# model as a Hugging Face folder, instead of converting it), BATCH, STEPS and THREADS are settings.
set -euo pipefail
cd "$(dirname "$0")/.."
gguf=models/SmolLM2-135M-Instruct.Q4_1.gguf
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "${PONENS:-}" ]; then
    cargo build --release --quiet -p ponens
    PONENS=target/release/ponens
fi
if [ -z "${MODEL:-}" ]; then
    MODEL=$work/model
    cargo run --release --quiet -p ponens-runtime --example check_exports -- convert "$gguf" "$MODEL"
fi
compare() {
    "${PYTHON:-python3}" scripts/compare-trl.py --ponens "$PONENS" --model "$MODEL" \
        --data data/reviews/train.jsonl --batch "${BATCH:-8}" --steps "${STEPS:-10}" \
        --threads "${THREADS:-2}" "$@"
}
compare --packed "$(realpath "$gguf")"
compare --full
