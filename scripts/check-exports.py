#!/usr/bin/env python3
"""The other half of check-exports.sh: Transformers and PEFT against files and log-probabilities.

    check-exports.py verify DIR   loads what `check_exports write` left there; exits with 1 above 1e-4
    check-exports.py make DIR     writes a tiny random model of each family, with log-probabilities

Needs torch, transformers and peft.
"""

import json
import pathlib
import sys

import torch
import transformers
from transformers import AutoModelForCausalLM


def token_logps(model, ids, start):
    """Log-probability of the tokens from `start` on."""
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0].float()
    logps = torch.log_softmax(logits, dim=-1)
    return [logps[t - 1, ids[t]].item() for t in range(start, len(ids))]


def difference(model, wanted):
    """Largest difference to the log-probabilities of a file."""
    model.eval()
    worst = 0.0
    for ids, start, logps in zip(wanted["ids"], wanted["start"], wanted["logps"]):
        mine = token_logps(model, ids, start)
        assert len(mine) == len(logps), "another number of response tokens"
        worst = max([worst, *(abs(a - b) for a, b in zip(mine, logps))])
    return worst


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def verify(folder):
    from peft import PeftModel

    def tokens(name):
        return json.loads((folder / f"{name}.json").read_text())

    found = {
        "model in transformers": difference(load(folder / "base"), tokens("base")),
        "merged model in transformers": difference(load(folder / "merged"), tokens("adapter")),
        "adapter in peft": difference(
            PeftModel.from_pretrained(load(folder / "base"), folder / "adapter"), tokens("adapter")
        ),
    }
    for name, worst in found.items():
        print(f"{name}: largest difference of a token's log-probability {worst:.2e}")
    # A check that could not fail would say nothing: the adapter must matter.
    apart = difference(load(folder / "base"), tokens("adapter"))
    print(f"the base without the adapter differs by {apart:.2e}")
    return max(found.values()) <= 1e-4 and apart > 1e-2


def make(folder):
    sizes = dict(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
        initializer_range=0.2,
    )
    families = {
        "llama": transformers.LlamaConfig(**sizes, tie_word_embeddings=True),
        "llama-biases": transformers.LlamaConfig(**sizes, attention_bias=True, mlp_bias=True),
        "mistral-window": transformers.MistralConfig(**sizes, sliding_window=6, head_dim=8),
        "qwen2": transformers.Qwen2Config(**sizes, use_sliding_window=False),
        "qwen3": transformers.Qwen3Config(**sizes, head_dim=12),
    }
    for name, config in families.items():
        torch.manual_seed(3)
        config._attn_implementation = "eager"
        model = AutoModelForCausalLM.from_config(config)
        for parameter in model.parameters():
            # Norms of one and biases of zero would hide a mistake in either.
            if parameter.ndim == 1:
                torch.nn.init.uniform_(parameter, 0.5, 1.5)
        model.eval()
        model.save_pretrained(folder / name)
        ids = [[(5 * i * i + 3 * i + k) % 64 for i in range(n)] for k, n in [(1, 20), (4, 30)]]
        start = [3, 2]
        logps = [token_logps(model, row, s) for row, s in zip(ids, start)]
        (folder / f"{name}.json").write_text(json.dumps(dict(ids=ids, start=start, logps=logps)))
        print(name)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("verify", "make"):
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    if sys.argv[1] == "make":
        make(folder)
    elif not verify(folder):
        sys.exit(1)
