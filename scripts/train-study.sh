#!/usr/bin/env bash
# The study of docs/training.md: the pretrained 135M model trained on real human preferences with five losses
# and three seeds each, every run on the same 256 held-out pairs, and the page that compares them.
#
#   scripts/fetch-smollm2.sh && scripts/train-study.sh [DIRECTORY]        default: runs/study
#
# One of the losses is made here, by `ponens derive`; the catalogue and the two-atom lattice do not hold it.
# ORPO weighs its preference term with 1 here and with 0.1 in the catalogue: 96 pairs are few. Snippets are short
# and steps few, so that the whole study takes less than an hour of one core.
# A study that was stopped goes on where it stood. LOSSES, PARAMS, SEEDS, STEPS, BATCH, LR, HELDOUT, TRAIN, LONGEST,
# SAMPLE_TOKENS and PONENS (the command, instead of building it) are settings; SCREENSHOT names a picture of the page, taken with headless
# Chromium.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-runs/study}
model=models/SmolLM2-135M-Instruct.Q4_1.gguf
ponens=${PONENS:-cargo run --release --quiet -p ponens --}
export CANDLE_NUM_THREADS=${CANDLE_NUM_THREADS:-1} RAYON_NUM_THREADS=${RAYON_NUM_THREADS:-2}
mkdir -p "$out"
if [ ! -f "$out/data/heldout.jsonl" ]; then
    HELDOUT=${HELDOUT:-256} TRAIN=${TRAIN:-96} LONGEST=${LONGEST:-80} \
        scripts/fetch-preferences.sh "$(realpath "$out")/data"
fi
# Whoever accepts the loser where the reference accepts the winner must accept the winner where the
# reference accepts the loser; rows in which nobody accepts the winner say nothing.
$ponens derive --name derived --mean --params 'beta = 2 in (0, inf)' \
    --core 'pi(l) & ref(w) -> pi(w) & ref(l)' --given 'pi(w) | ref(w)' > "$out/derived.loss"
$ponens train --losses "${LOSSES:-dpo,simpo,orpo,kto,$out/derived.loss}" --seeds "${SEEDS:-3}" --resume \
    --model "$model" --data "$out/data/train.jsonl" --eval-data "$out/data/heldout.jsonl" \
    ${PARAMS---param lambda=1} --steps "${STEPS:-24}" --batch "${BATCH:-4}" --micro-batch 4 \
    --lr "${LR:-2e-3}" --warmup 3 --save-every 12 --max-length 128 \
    --sample-tokens "${SAMPLE_TOKENS:-8}" --output "$out/lab" --format json > "$out/log.jsonl"
$ponens report "$out/lab" | tee "$out/study.txt"
if [ -n "${SCREENSHOT:-}" ]; then
    "${CHROMIUM:-chromium}" --headless --no-sandbox --hide-scrollbars --window-size=1300,1500 \
        --screenshot="$SCREENSHOT" "file://$(realpath "$out/lab/report.html")"
fi
