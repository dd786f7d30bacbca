#!/usr/bin/env bash
# Trains the small real model with exported losses in TRL: in one process, in two processes under torchrun with
# gloo on loopback, and with ponens itself, on the same batch; then compares the steps.
#
#   pip install torch==2.15.0 trl==1.16.0 transformers==5.23.0 datasets==5.2.0 accelerate==1.15.0 gguf==0.19.0
#   scripts/fetch-smollm2.sh && scripts/fetch-preferences.sh && scripts/trl-check.sh [PYTHON]
#
# Needs 9 GB of memory. PONENS is the command to use instead of building it; LOSSES, STEPS and OUT are settings.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-python3}
out=${OUT:-runs/trl}
steps=${STEPS:-5}
gguf=models/SmolLM2-135M-Instruct.Q4_1.gguf
ponens=${PONENS:-cargo run --release --quiet -p ponens --}
export OMP_NUM_THREADS=1 CANDLE_NUM_THREADS=1 RAYON_NUM_THREADS=${RAYON_NUM_THREADS:-1}
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false PYTHONWARNINGS=ignore
mkdir -p "$out"
head -n 4 data/reviews/train.jsonl > "$out/pairs.jsonl"
common=(--gguf "$gguf" --model "$out/model" --data "$out/pairs.jsonl")
"$python" scripts/trl_check.py "${common[@]}"
for loss in ${LOSSES:-dpo orpo}; do
    $ponens emit "$loss" --target torch --trl > "$out/$loss.py"
    trainer="$(echo "${loss:0:1}" | tr a-z A-Z)${loss:1}Trainer"
    run=(scripts/trl_check.py "${common[@]}" --file "$out/$loss.py" --trainer "$trainer" --steps "$steps")
    "$python" "${run[@]}" --output "$out/$loss-1" 2> "$out/$loss-1.err" | grep '^{"step"' > "$out/$loss-1.jsonl"
    "$python" -m torch.distributed.run --nproc_per_node 2 --master_addr 127.0.0.1 --master_port 29511 \
        "${run[@]}" --output "$out/$loss-2" 2> "$out/$loss-2.err" | grep '^{"step"' > "$out/$loss-2.jsonl"
    rm -rf "$out/$loss-ponens"
    $ponens train --loss "$loss" --full --model "$gguf" --data "$out/pairs.jsonl" --eval-data "$out/pairs.jsonl" \
        --steps "$steps" --batch 4 --micro-batch 2 --lr 1e-5 --warmup 0 --schedule constant --clip 1 \
        --max-length 128 --sample-tokens 0 --output "$out/$loss-ponens" > "$out/$loss-ponens.txt"
done
"$python" scripts/trl_compare.py "$out" ${LOSSES:-dpo orpo}
