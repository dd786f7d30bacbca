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


PROPERTIES = (
    "compiles whole",
    "takes half types",
    "refuses a wrong shape",
    "refuses a second derivative",
    "refuses parameters outside their range",
)


def raises(error, call):
    try:
        call()
    except error:
        return True
    return False


def columns_of(case):
    """The arguments of a case as lists, means computed from sums."""
    given = {name: [number(x) for x in values] for name, values in case["f64"]["columns"].items()}
    for mean in case["means"]:
        pairs = zip(given[mean["sum"]], given[mean["len"]], strict=True)
        given[mean["mean"]] = [total / max(count, 1.0) for total, count in pairs]
    return [given[name][:8] for name, _ in case["arguments"]]


def properties(case, function):
    """Which of PROPERTIES hold for a generated function, in their order."""
    values = columns_of(case)
    params = {name: number(value) for name, value in case["params"].items()}

    def tensors(dtype):
        return [torch.tensor(v, dtype=dtype, requires_grad=True) for v in values]

    def gradients(call, inputs, **more):
        loss = call(*inputs, **params)
        return loss, torch.autograd.grad(loss, inputs, allow_unused=True, **more)

    def equal(x, y):
        return (x is None and y is None) or torch.allclose(x, y, rtol=1e-14, atol=1e-300, equal_nan=True)

    torch._dynamo.reset()
    whole = torch.compile(function, fullgraph=True, backend="aot_eager")
    plain, compiled = gradients(function, tensors(torch.float64)), gradients(whole, tensors(torch.float64))
    same = equal(plain[0], compiled[0]) and all(map(equal, plain[1], compiled[1]))
    loss, halves = gradients(function, tensors(torch.bfloat16))
    half = loss.dtype == torch.float32 and all(g is None or g.dtype == torch.bfloat16 for g in halves)
    exact = tensors(torch.float64)
    shape = len(exact) < 2 or len(values[0]) < 2 or raises(
        ValueError, lambda: function(exact[0][:1], *exact[1:], **params)
    )
    _, first = gradients(function, exact, create_graph=True)
    second = raises(RuntimeError, lambda: sum(g.sum() for g in first if g is not None).backward())
    nan = float("nan")
    ranges = all(raises(ValueError, lambda n=n: function(*exact, **{**params, n: nan})) for n in params)
    return same, half, shape, second, ranges


def behaviour(document, folder):
    """Prints which properties hold for every different file; the number of failures."""
    seen, failed = set(), {name: [] for name in PROPERTIES}
    for case in document["cases"]:
        source = (folder / case["file"]).read_text()
        if source not in seen:
            seen.add(source)
            function = getattr(load(folder / case["file"]), case["function"])
            for name, holds in zip(PROPERTIES, properties(case, function), strict=True):
                if not holds:
                    failed[name].append(case["title"])
    print(f"{len(seen)} different files")
    for name, titles in failed.items():
        print(f"  {name}: {'all' if not titles else 'NOT ' + '; '.join(titles)}")
    return sum(map(len, failed.values()))


def main(folder):
    document = json.loads((folder / "cases.json").read_text())
    print(f"torch {torch.__version__}, {len(document['cases'])} records, {document['rows']} rows")
    print(f"{document['refused']} further rows are outside the domain and refused by ponens")
    types = {
        "f64": (torch.float64, 1e-30, float("inf")),
        "f32": (torch.float32, torch.finfo(torch.float32).tiny, torch.finfo(torch.float32).max),
    }
    failures = behaviour(document, folder)
    for name, (dtype, floor, ceiling) in types.items():
        total = met = both = only_interpreter = 0
        alone, shared = [], {}
        for case in document["cases"]:
            ours, theirs = check(case, folder, name, dtype, floor, ceiling)
            for k, (bad, also) in enumerate(zip(ours, theirs, strict=True)):
                total += 1
                if not bad:
                    met += 1
                    only_interpreter += bool(also)
                elif also:
                    both += 1
                    shared[case["title"]] = shared.get(case["title"], 0) + 1
                else:
                    row = "batch" if case["batch"] else case["ids"][k]
                    alone.append(f"  {case['title']} {row}: {bad[0]}")
        print(
            f"{name}: {met} of {total} met; {both} missed by the interpreter as well; "
            f"{len(alone)} missed by PyTorch alone; {only_interpreter} missed by the interpreter alone"
        )
        for title, count in shared.items():
            print(f"  missed by both: {count} of {title}")
        print("\n".join(alone), end="\n" if alone else "")
        failures += len(alone)
    return failures > 0


sys.exit(main(pathlib.Path(sys.argv[1])))
