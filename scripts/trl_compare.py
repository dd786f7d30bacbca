"""Compares the steps of trl-check.sh: TRL in one and two processes, and ponens."""

import json
import pathlib
import sys

# What f32 sums over 135 million numbers in another order leave.
LOSS, NORM = 2e-5, 2e-3


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def main(folder, losses):
    wrong = 0
    for loss in losses:
        one, two = (lines(folder / f"{loss}-{n}.jsonl") for n in (1, 2))
        metrics = lines(folder / f"{loss}-ponens" / "metrics.jsonl")
        own = [m for m in metrics if m["type"] == "step"]
        print(f"{loss}\n  step      loss: 1 process  2 processes       ponens   gradient norm: 1      2       ponens")
        for a, b, c in zip(one, two, own, strict=True):
            print(
                f"  {a['step']:4}  {a['loss']:19.6f} {b['loss']:12.6f} {c['loss']:12.6f}"
                f"  {a['grad_norm']:16.4f} {b['grad_norm']:9.4f} {c['gradient_norm']:9.4f}"
            )
        a, b, c = one[0], two[0], own[0]
        for name, x, y, bound in (
            ("loss of 2 processes", a["loss"], b["loss"], LOSS),
            ("loss of ponens", a["loss"], c["loss"], LOSS),
            ("norm of 2 processes", a["grad_norm"], b["grad_norm"], NORM),
            ("norm of ponens", a["grad_norm"], c["gradient_norm"], NORM),
        ):
            off = abs(x - y) / abs(x)
            verdict = "agrees" if off <= bound else "DIFFERS"
            wrong += off > bound
            print(f"  first step, {name}: off by {off:.1e}, bound {bound:.0e}: {verdict}")
    return wrong > 0


sys.exit(main(pathlib.Path(sys.argv[1]), sys.argv[2:]))
