#!/usr/bin/env python3
"""ponens and TRL's DPOTrainer on the same model, pairs, batch and threads, one after the other.

    compare-trl.py --ponens target/release/ponens --model HF_FOLDER --data pairs.jsonl [--full] [--threads 2]

Every step of both sees the same batch: the first --batch pairs of the data. With LoRA both start from the
same adapter, which is not zero. TRL runs with gradient_checkpointing off and on, each in a process of its
own; ponens without and with --checkpointing. Reported: tokens a second (median over steps after the first),
peak memory of the process, loss and gradient norm at the first and the last step. The reference is computed
once by both (precompute_ref_log_probs). Only figures of one call compare: the machine may be busy.

HF_FOLDER: `cargo run --release -p ponens-runtime --example check_exports -- convert GGUF HF_FOLDER`.
Needs torch, trl, peft, transformers, datasets.
"""

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--ponens", required=True)
    p.add_argument("--model", required=True)
    p.add_argument("--data", required=True)
    p.add_argument("--full", action="store_true")
    p.add_argument("--steps", type=int, default=10)
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--max-length", type=int, default=128)
    p.add_argument("--lr", type=float, default=None)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--packed", metavar="GGUF", help="also run ponens on this file with --packed")
    p.add_argument("--trl", choices=["plain", "checkpointing"], help=argparse.SUPPRESS)
    p.add_argument("--adapter", help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.lr is None:
        a.lr = 5e-6 if a.full else 5e-4
    return a


def run_trl(a):
    """One TRL run in this process; prints a line of JSON."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import DPOConfig, DPOTrainer

    torch.set_num_threads(a.threads)
    tokenizer = AutoTokenizer.from_pretrained(a.model)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(a.model, dtype=torch.float32)
    if not a.full:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, a.adapter, is_trainable=True)
    with open(a.data) as f:
        rows = [json.loads(line) for line in f][: a.batch]
    data = Dataset.from_list([{k: r[k] for k in ("prompt", "chosen", "rejected")} for r in rows])
    times, log = [], []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_, **__):
            times.append(time.perf_counter())

        def on_step_end(self, *_, **__):
            times[-1] = time.perf_counter() - times[-1]

        def on_log(self, _args, _state, _control, logs=None, **__):
            if "loss" in logs:
                log.append((logs["loss"], logs["grad_norm"]))

    config = DPOConfig(
        output_dir=tempfile.mkdtemp(), beta=0.1, max_steps=a.steps, learning_rate=a.lr,
        per_device_train_batch_size=a.batch, gradient_accumulation_steps=1, warmup_steps=0,
        lr_scheduler_type="constant", max_grad_norm=1.0, weight_decay=0.0, adam_beta1=0.9,
        adam_beta2=0.999, adam_epsilon=1e-8, max_length=a.max_length, logging_steps=1,
        gradient_checkpointing=a.trl == "checkpointing", bf16=False, fp16=False, use_cpu=True,
        precompute_ref_log_probs=True, report_to=[], save_strategy="no", disable_tqdm=True,
        dataloader_num_workers=0,
    )
    trainer = DPOTrainer(
        model=model, args=config, train_dataset=data, processing_class=tokenizer, callbacks=[Clock()]
    )
    trainer.train()
    print(json.dumps({
        "seconds": statistics.median(times[1:]),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "first": log[0], "last": log[-1],
    }))


def threads(a):
    n = str(a.threads)
    return {**os.environ, "RAYON_NUM_THREADS": n, "OMP_NUM_THREADS": n, "MKL_NUM_THREADS": n,
            "CANDLE_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


def run_ponens(a, data, out, extra, model):
    # TRL's reference is the model as it starts, adapter and all.
    command = [
        a.ponens, "train", "--loss", "dpo", "--param", "beta=0.1", "--model", model, "--data", data,
        "--eval-data", data, "--output", out, "--steps", str(a.steps), "--batch", str(a.batch),
        "--micro-batch", str(a.batch), "--lr", str(a.lr), "--warmup", "0", "--schedule", "constant",
        "--max-length", str(a.max_length), "--sample-tokens", "0", "--reference", "start", "--format", "json", *extra,
    ]
    done = subprocess.run(command, env=threads(a), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    steps = [line for line in lines if line["type"] == "step"]
    seconds = [b["seconds"] - x["seconds"] for x, b in zip(steps, steps[1:])]
    return {
        "seconds": statistics.median(seconds) if seconds else float("nan"),
        "tokens": steps[0]["tokens_per_second"],
        "peak_mib": lines[-1]["peak_memory_mib"],
        "first": (steps[0]["loss"], steps[0]["gradient_norm"]),
        "last": (steps[-1]["loss"], steps[-1]["gradient_norm"]),
    }


def main():
    a = arguments()
    if a.trl:
        run_trl(a)
        return
    work = pathlib.Path(tempfile.mkdtemp(prefix="compare-trl-"))
    with open(a.data) as f:
        few = [line for line in f][: a.batch]
    data = str(work / "batch.jsonl")
    pathlib.Path(data).write_text("".join(few))
    kind = ["--full"] if a.full else []
    start = a.model
    if not a.full:
        # Three hot steps make an adapter that is not zero; both sides go on from it.
        warm = argparse.Namespace(**{**vars(a), "steps": 3, "lr": 2e-3})
        run_ponens(warm, data, str(work / "start"), [], a.model)
        start = str(work / "start" / "adapter")
    results = {
        "ponens": run_ponens(a, data, str(work / "plain"), kind, start),
        "ponens, checkpointing": run_ponens(
            a, data, str(work / "checkpointing"), [*kind, "--checkpointing"], start
        ),
    }
    if a.packed and not a.full:
        results["ponens, packed, checkpointing (new adapter)"] = run_ponens(
            a, data, str(work / "packed"), ["--packed", "--checkpointing"], a.packed
        )
    for setting in ("plain", "checkpointing"):
        command = [sys.executable, __file__, *sys.argv[1:], "--trl", setting, "--adapter", start]
        done = subprocess.run(command, env=threads(a), capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        name = "TRL" if setting == "plain" else "TRL, checkpointing"
        results[name] = json.loads(done.stdout.splitlines()[-1])
    print(f"{'full' if a.full else 'LoRA'}, {a.batch} pairs of at most {a.max_length} tokens, {a.threads} threads")
    for name, r in results.items():
        base = results["TRL, checkpointing" if "checkpointing" in name else "TRL"]
        print(
            f"{name:<44} {r['seconds']:7.2f} s a step ({base['seconds'] / r['seconds']:.2f}x TRL)"
            f"  peak {r['peak_mib']:6.0f} MiB ({r['peak_mib'] / base['peak_mib']:.2f}x)"
            f"  loss {r['first'][0]:.6f} -> {r['last'][0]:.6f}"
            f"  gradient {r['first'][1]:.5f} -> {r['last'][1]:.5f}"
        )


if __name__ == "__main__":
    main()
