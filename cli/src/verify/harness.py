"""Runs a function of PyTorch for `ponens verify`.

One JSON document a line: commands on standard input, answers on what standard output was at the start. Whatever
the function prints goes to standard error, so that it cannot be taken for an answer.
"""

import ast
import importlib.util
import inspect
import json
import math
import os
import sys
import traceback
import types

answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)
path, name = sys.argv[1], sys.argv[2]


read = set()

# The type of masks; integers once a function has refused booleans.
masks = "bool"


class Own(types.SimpleNamespace):
    """The `self` of a method, which remembers what was asked of it."""

    def __getattribute__(self, attribute):
        read.add(attribute)
        return super().__getattribute__(attribute)


def answer(document):
    answers.write(json.dumps(document) + "\n")
    answers.flush()


def fail(kind, message, line=None, **more):
    answer({"error": {"kind": kind, "message": message, "line": line, **more}})


def line_of(error):
    """The last line of the user's file that the error passed through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f.lineno for f in frames if os.path.abspath(f.filename) == os.path.abspath(path)]
    return own[-1] if own else None


def words(error):
    text = str(error).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def number(x):
    if math.isfinite(x):
        return x
    return "NaN" if math.isnan(x) else ("Infinity" if x > 0 else "-Infinity")


def numbers(x):
    return [numbers(v) for v in x] if isinstance(x, list) else number(float(x))


def function():
    """The function and whether it wants a `self`; None after an error has been reported."""
    with open(path, "rb") as file:
        source = file.read()
    try:
        compile(source, path, "exec", ast.PyCF_ONLY_AST)
    except (SyntaxError, ValueError) as e:
        fail("syntax", getattr(e, "msg", str(e)), getattr(e, "lineno", None))
        return None
    try:
        import torch  # noqa: F401
    except Exception as e:
        fail("torch", words(e))
        return None
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    spec = importlib.util.spec_from_file_location("ponens_subject", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["ponens_subject"] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as e:
        fail("import", words(e), line_of(e))
        return None
    found, owner = module, None
    for part in name.split("."):
        if not hasattr(found, part):
            own = [
                n for n, v in vars(found).items()
                if not n.startswith("_") and getattr(v, "__module__", None) == "ponens_subject"
            ]
            fail("missing", f"no `{part}`", names=sorted(own))
            return None
        owner, found = found, getattr(found, part)
    if inspect.isclass(found) or not callable(found):
        own = [n for n, v in vars(found).items() if callable(v) and not n.startswith("_")] if inspect.isclass(found) else []
        fail("missing", f"`{name}` is no function", names=[f"{name}.{n}" for n in sorted(own)])
        return None
    try:
        parameters = list(inspect.signature(found).parameters.values())
    except (TypeError, ValueError) as e:
        fail("signature", words(e))
        return None
    method = inspect.isclass(owner) and bool(parameters) and parameters[0].name == "self"
    rows = []
    for p in parameters[1:] if method else parameters:
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            continue
        default = p.default
        plain = isinstance(default, (int, float)) and not isinstance(default, bool)
        rows.append({
            "name": p.name,
            "optional": default is not p.empty,
            "default": number(float(default)) if plain else None,
            "positional": p.kind == p.POSITIONAL_ONLY,
        })
    answer({"arguments": rows, "method": method, "torch": torch.__version__})
    return found, method


def shape(rows, depth):
    """Lengths that hold every list of that depth."""
    if depth == 0:
        return []
    inner = [shape(r, depth - 1) for r in rows]
    return [len(rows)] + ([max(c) for c in zip(*inner)] if inner else [0] * (depth - 1))


def depth(x):
    return 1 + max((depth(v) for v in x), default=0) if isinstance(x, list) else 0


def fill(rows, lengths, empty, leaf):
    if not lengths:
        return leaf(rows)
    short = [fill(r, lengths[1:], empty, leaf) for r in rows]
    missing = lengths[0] - len(short)
    return short + [full(lengths[1:], empty) for _ in range(missing)]


def full(lengths, empty):
    return [full(lengths[1:], empty) for _ in range(lengths[0])] if lengths else empty


def tensor(given, dtype):
    import torch
    kind, rows = given["kind"], given["rows"]
    lengths = shape(rows, depth(rows))
    if kind == "mask":
        return torch.tensor(fill(rows, lengths, 0, lambda _: 1), dtype=getattr(torch, masks)).reshape(lengths)
    types_ = {"bool": torch.bool, "int": torch.int64, "float": dtype}
    x = torch.tensor(fill(rows, lengths, 0, lambda v: v), dtype=types_[kind]).reshape(lengths)
    return x.requires_grad_(True) if given["grad"] else x


def chosen(result, output):
    """The loss among what the function returns, and words on what was left aside."""
    if output is not None:
        return result[output], None
    if isinstance(result, dict):
        for key in ("loss", "losses"):
            if key in result:
                return result[key], f'the result is result["{key}"]'
    if isinstance(result, (tuple, list)) and result:
        return result[0], f"the result is the first of the {len(result)} that are returned"
    if hasattr(result, "loss"):
        return result.loss, "the result is the attribute `loss`"
    return result, None


def run(call, found, method):
    import torch
    dtype = getattr(torch, call["dtype"])
    positional, keywords, leaves = [], {}, {}
    for given in call["arguments"]:
        x = given["value"] if "value" in given else tensor(given, dtype)
        if given.get("grad"):
            leaves[given["name"]] = x
        if given["positional"]:
            positional.append(x)
        else:
            keywords[given["name"]] = x
    if method:
        positional.insert(0, Own(**call["self"]))
    try:
        result, note = chosen(found(*positional, **keywords), call["output"])
    except (KeyError, IndexError) as e:
        return {"error": {"kind": "raised", "message": words(e), "line": line_of(e)}}
    if not isinstance(result, torch.Tensor):
        message = f"it returns {type(result).__name__}, not a tensor"
        return {"error": {"kind": "result", "message": message, "line": None}}
    if not result.is_floating_point():
        message = f"it returns a tensor of {result.dtype}"
        return {"error": {"kind": "result", "message": message, "line": None}}
    gradients = [None] * len(leaves)
    if result.requires_grad and leaves:
        gradients = torch.autograd.grad(result.sum(), list(leaves.values()), allow_unused=True)
    if masks != "bool" and any(a.get("kind") == "mask" for a in call["arguments"]):
        note = "; ".join(n for n in (note, "masks are given as integers") if n)
    return {
        "shape": list(result.shape),
        "dtype": str(result.dtype).removeprefix("torch."),
        "values": numbers(result.detach().double().reshape(-1).tolist()),
        "gradients": {
            n: None if g is None else numbers(g.double().tolist())
            for n, g in zip(leaves, gradients)
        },
        "note": note,
        "read": sorted(n for n in read if not n.startswith("__")),
    }


def judged(call):
    """An answer; a function that computes with its masks, `1 - mask`, gets them as integers."""
    global masks
    try:
        return run(call, *subject)
    except (RuntimeError, TypeError) as e:
        masked = any(a.get("kind") == "mask" for a in call["arguments"])
        if masks != "bool" or not masked or "bool" not in str(e):
            raise
        masks = "int64"
        return run(call, *subject)


subject = function()
if subject is not None:
    for line in sys.stdin:
        try:
            answer(judged(json.loads(line)))
        except (Exception, SystemExit) as e:
            fail("raised", words(e), line_of(e))
