#!/usr/bin/env bash
# Trains the pretrained 135M model on real human preferences with four losses, 50 steps each, and keeps
# what was printed: the runs behind docs/real-runs.md.
#
#   scripts/fetch-smollm2.sh && scripts/fetch-preferences.sh && scripts/real-runs.sh [DIRECTORY]
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-runs/real}
model=models/SmolLM2-135M-Instruct.Q4_1.gguf
export CANDLE_NUM_THREADS=${CANDLE_NUM_THREADS:-2} RAYON_NUM_THREADS=${RAYON_NUM_THREADS:-2}
mkdir -p "$out"
# 50 steps of 4 pairs; an evaluation of 64 pairs costs as much as sixteen steps.
head -n 200 data/reviews/train.jsonl > "$out/train.jsonl"
head -n 64 data/reviews/heldout.jsonl > "$out/heldout.jsonl"
for loss in ${LOSSES:-dpo orpo simpo examples/cautious.loss}; do
    name=$(basename "$loss" .loss)
    # With the paper's lambda of 0.1 ORPO is mostly likelihood, and 50 steps hardly move the accuracy.
    settings=(--lr 5e-4)
    if [ "$name" = orpo ]; then settings=(--lr 1e-3 --param lambda=1); fi
    ${PONENS:-cargo run --release --quiet -p ponens --} train --loss "$loss" \
        --model "$model" --data "$out/train.jsonl" --eval-data "$out/heldout.jsonl" \
        --steps 50 --batch 4 --micro-batch 4 "${settings[@]}" --eval-every 25 --max-length 128 \
        --output "$out/$name" | tee "$out/$name.txt"
done
