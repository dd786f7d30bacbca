"""Runs generated PyTorch files on the reference records; see check-torch.sh.

A result is met when it is as near as the record's bound: relative 1e-12 max(1, |beta rho|) in f64 against the
record, 4e-6 max(1, |beta rho|) in f32 against 256 bits at the rounded inputs, with the absolute floor 1e-30
(in f32 the smallest normal number). Rows that the interpreter misses as well are properties of the stable
form; a row that only PyTorch misses is a failure of this back end.
"""

import importlib.util
import json
import math
import pathlib
import sys

import torch

torch.set_num_threads(1)


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def number(value):
    return float(value.replace("Infinity", "inf")) if isinstance(value, str) else value


def run(case, function, side, dtype, rows):
    """Loss and gradients by column of some rows, through autograd."""
    given = {
        name: torch.tensor([number(values[r]) for r in rows], dtype=dtype, requires_grad=True)
        for name, values in side["columns"].items()
    }
    columns = dict(given)
    for mean in case["means"]:
        columns[mean["mean"]] = given[mean["sum"]] / torch.clamp(given[mean["len"]], min=1)
    params = {name: number(value) for name, value in case["params"].items()}
    arguments = [columns[name] for name, _ in case["arguments"]]
    if case["batch"] or case["coupled"]:
        loss = function(*arguments, **params)
    else:
        loss = function(*arguments, **params, reduction="none")
    total = loss.sum()
    if total.requires_grad:
        total.backward()
    gradients = {
        name: (torch.zeros_like(t) if t.grad is None else t.grad).tolist() for name, t in given.items()
    }
    return loss.detach().reshape(-1).tolist(), gradients


def agrees(want, got, tolerance, floor, ceiling):
    if math.isnan(want) or math.isnan(got):
        return False
    if abs(want) >= ceiling and math.isinf(got):
        return (got > 0) == (want > 0)
    return abs(got - want) <= max(abs(want) * tolerance, floor) if math.isfinite(got) else got == want


def rows_of(case, side, outcome, condition, floor, ceiling):
    """For each expected row, the names of the results that miss it."""
    missed = []
    for k, expected in enumerate(side["expected"]):
        scale = max(condition) if case["batch"] else condition[k]
        bad = []
        for name, values in expected.items():
            got = outcome(k, name)
            for want, have in zip(values, got, strict=True):
                want = number(want)
                if not agrees(want, have, side["tolerance"] * scale, floor, ceiling):
                    bad.append(f"{name}: expected {want:.17g}, got {have:.17g}")
        missed.append(bad)
    return missed


def check(case, folder, name, dtype, floor, ceiling):
    side = case[name]
    function = getattr(load(folder / case["file"]), case["function"])
    count = len(case["conditions"])
    if case["batch"]:
        results = [run(case, function, side, dtype, range(count))]
    elif case["coupled"]:
        results = [run(case, function, side, dtype, [r]) for r in range(count)]
    else:
        losses, gradients = run(case, function, side, dtype, range(count))
        results = [
            ([losses[r]], {column: [values[r]] for column, values in gradients.items()}) for r in range(count)
        ]

    def torch_outcome(k, column):
        loss, gradients = results[k]
        return loss if column == "loss" else gradients[column]

    def interpreter_outcome(k, column):
        return [number(x) for x in side["interpreted"][k][column]]

    limits = (case["conditions"], floor, ceiling)
    return rows_of(case, side, torch_outcome, *limits), rows_of(case, side, interpreter_outcome, *limits)


def main(folder):
    document = json.loads((folder / "cases.json").read_text())
    print(f"torch {torch.__version__}, {len(document['cases'])} records, {document['rows']} rows")
    print(f"{document['refused']} further rows are outside the domain and refused by ponens")
    types = {
        "f64": (torch.float64, 1e-30, float("inf")),
        "f32": (torch.float32, torch.finfo(torch.float32).tiny, torch.finfo(torch.float32).max),
    }
    failures = 0
    for name, (dtype, floor, ceiling) in types.items():
        total = met = both = only_interpreter = 0
        alone = []
        for case in document["cases"]:
            ours, theirs = check(case, folder, name, dtype, floor, ceiling)
            for k, (bad, also) in enumerate(zip(ours, theirs, strict=True)):
                total += 1
                if not bad:
                    met += 1
                    only_interpreter += bool(also)
                elif also:
                    both += 1
                else:
                    row = "batch" if case["batch"] else case["ids"][k]
                    alone.append(f"  {case['title']} {row}: {bad[0]}")
        print(
            f"{name}: {met} of {total} met; {both} missed by the interpreter as well; "
            f"{len(alone)} missed by PyTorch alone; {only_interpreter} missed by the interpreter alone"
        )
        print("\n".join(alone), end="\n" if alone else "")
        failures += len(alone)
    return failures > 0


sys.exit(main(pathlib.Path(sys.argv[1])))
