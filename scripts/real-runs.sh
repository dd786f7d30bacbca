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
for loss in ${LOSSES:-dpo orpo simpo examples/cautious.loss}; do
    name=$(basename "$loss" .loss)
    ${PONENS:-cargo run --release --quiet -p ponens --} train --loss "$loss" \
        --model "$model" --data data/reviews/train.jsonl --eval-data data/reviews/heldout.jsonl \
        --steps 50 --batch 8 --micro-batch 4 --lr 1e-3 --eval-every 25 --max-length 128 \
        --output "$out/$name" | tee "$out/$name.txt"
done
