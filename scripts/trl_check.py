"""Trains a model with an exported loss in TRL and prints the log, one JSON line a step; see trl-check.sh."""

import argparse
import importlib.util
import json
import os
import pathlib

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig

WANTED = ("loss", "grad_norm", "logps/chosen", "logps/rejected", "rewards/margins", "rewards/accuracies")


def convert(gguf, folder):
    """Writes a GGUF file as a Hugging Face folder, in float32."""
    if not (folder / "config.json").exists():
        place = {"gguf_file": gguf.name}
        loaded = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.float32, **place)
        # What was dequantised still counts as quantised, and is not written; a plain copy is.
        config = loaded.config
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        model.load_state_dict(loaded.state_dict())
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(gguf.parent, **place).save_pretrained(folder)


def trainer_class(file, name):
    spec = importlib.util.spec_from_file_location("exported", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gguf", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--file", type=pathlib.Path)
    parser.add_argument("--trainer")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--output", default="runs/trl/out")
    arguments = parser.parse_args()
    if arguments.file is None:
        return convert(arguments.gguf, arguments.model)

    torch.set_num_threads(1)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    rows = [json.loads(line) for line in arguments.data.read_text().splitlines()]
    data = Dataset.from_list([{key: row[key] for key in ("prompt", "chosen", "rejected")} for row in rows])
    config = DPOConfig(
        output_dir=arguments.output,
        # Every batch holds all rows, so that their order does not matter.
        per_device_train_batch_size=len(rows) // world,
        max_steps=arguments.steps,
        learning_rate=1e-5,
        lr_scheduler_type="constant",
        weight_decay=0.0,
        max_grad_norm=1.0,
        max_length=128,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        ddp_backend="gloo" if world > 1 else None,
        disable_tqdm=True,
    )
    model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32)
    trainer = trainer_class(arguments.file, arguments.trainer)(
        model=model,
        args=config,
        train_dataset=data,
        processing_class=AutoTokenizer.from_pretrained(arguments.model),
    )
    trainer.train()
    if int(os.environ.get("RANK", "0")) == 0:
        for entry in trainer.state.log_history:
            if "loss" in entry:
                step = {name: float(entry[name]) for name in WANTED if name in entry}
                print(json.dumps({"step": entry["step"], "processes": world, **step}), flush=True)


main()
