#!/usr/bin/env python3
"""Time and peak memory of the symbolic side, beside the same work in SymPy, in one run.

    cargo build --release -p ponens-losses --example logic_timings
    python3 docs/logic-timings.py target/release/examples/logic_timings

needs SymPy (1.12 or newer). Every part runs in a process of its own; memory is the peak resident set of
that process. SymPy is given rho as text, and for comparing the rows that ponens found: it decides equality
(cross products expanded) and entailment (satisfiability); it has no decision of dominance, so the pairs
that neither is true of are left open by it and decided by ponens.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time


def run(command):
    """The JSON that a command prints, its wall time in seconds and its peak memory in MiB."""
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    out = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(command)} failed")
    return json.loads(out), time.perf_counter() - start, usage.ru_maxrss / 1024


def symbols_of(sympy, atoms):
    weights = {a: sympy.Symbol(f"p{i}", positive=True) for i, a in enumerate(atoms)}
    truths = {a: sympy.Symbol(f"a{i}") for i, a in enumerate(atoms)}
    return weights, truths


def count(sympy, rows, weights):
    """The weighted count of rows, a multilinear polynomial."""
    terms = []
    for row in rows:
        terms.append(sympy.Mul(*[w if row >> i & 1 else 1 - w for i, w in enumerate(weights)]))
    return sympy.expand(sympy.Add(*terms))


def sympy_decompile(losses):
    """exp(rho) as a fraction, its two sides at the vertices, and the three clauses simplified."""
    import sympy
    from sympy.logic.boolalg import SOPform, simplify_logic

    start, logic = time.perf_counter(), 0
    for loss in losses:
        text = loss["rho"]
        atoms = list(loss["atoms"])
        weights, truths = symbols_of(sympy, atoms)
        names = {}
        for i, atom in enumerate(atoms):
            model, response = re.fullmatch(r"(\w+)\((\w+)\)", atom).groups() if "exp(" not in atom else (None, None)
            if model:
                text = re.sub(rf"(mean_)?logp\({model}, ?{response}\)", f"log(X{i})", text)
                text = text.replace(atom, f"X{i}")
            names[f"X{i}"] = weights[atom]
        for word in set(re.findall(r"[A-Za-z_]\w*", text)) - set(names) - {"log", "exp", "log1mexp", "log1p", "expm1"}:
            names[word] = sympy.Symbol(word, positive=True)
        names["log1mexp"] = lambda x: sympy.log(1 - sympy.exp(x))
        names["log1p"] = lambda x: sympy.log(1 + x)
        names["expm1"] = lambda x: sympy.exp(x) - 1
        rho = sympy.sympify(text.replace("^", "**"), locals=names)
        top, bottom = sympy.fraction(sympy.cancel(sympy.together(sympy.exp(rho))))
        constants = [a for a in atoms if "exp(" in a]
        plain = [a for a in atoms if "exp(" not in a]
        variables = [weights[a] for a in plain]
        rows = {}
        for side, name in ((top, "wins"), (bottom, "loses")):
            at = lambda row: side.subs({w: row >> i & 1 for i, w in enumerate(variables)})
            # A constant factor has no vertex: it is an atom of its own, which both tools are told.
            rows[name] = [r for r in range(1 << len(variables)) if sympy.simplify(at(r)) != 0]
        if not constants and any(set(rows[k]) != set(loss[k]) for k in rows):
            sys.exit(f"{loss['name']}: SymPy finds other rows")
        marks = [truths[a] for a in plain]
        minterms = lambda list_: [[r >> i & 1 for i in range(len(marks))] for r in list_]
        wins, loses = (SOPform(marks, minterms(rows[k])) for k in ("wins", "loses"))
        simplify_logic(sympy.Implies(loses, wins))
        simplify_logic(sympy.Or(wins, loses))
        simplify_logic(sympy.And(wins, loses))
        logic += 1
    return {"logic": logic, "seconds": time.perf_counter() - start}


def sympy_compare(losses):
    """Equality of rho and entailment, both ways, of all pairs."""
    import sympy
    from sympy.logic.boolalg import SOPform
    from sympy.logic.inference import satisfiable

    start, found = time.perf_counter(), {"equal": 0, "entails": 0, "entailed_by": 0, "open": 0}
    for i, a in enumerate(losses):
        for b in losses[i + 1 :]:
            atoms = list(dict.fromkeys(a["keys"] + b["keys"]))
            weights, truths = symbols_of(sympy, atoms)
            sides = []
            for loss in (a, b):
                own = [weights[x] for x in loss["keys"]]
                marks = [truths[x] for x in loss["keys"]]
                minterms = lambda rows: [[r >> k & 1 for k in range(len(marks))] for r in rows]
                sides.append({
                    key: (count(sympy, loss[key], own), SOPform(marks, minterms(loss[key])))
                    for key in ("wins", "loses")
                })
            x, y = sides
            cross = sympy.expand(x["wins"][0] * y["loses"][0] - y["wins"][0] * x["loses"][0])
            within = lambda s, t: not satisfiable(sympy.And(s, sympy.Not(t)))
            if cross == 0:
                found["equal"] += 1
            elif within(x["wins"][1], y["wins"][1]) and within(y["loses"][1], x["loses"][1]):
                found["entails"] += 1
            elif within(y["wins"][1], x["wins"][1]) and within(x["loses"][1], y["loses"][1]):
                found["entailed_by"] += 1
            else:
                found["open"] += 1
    pairs = len(losses) * (len(losses) - 1) // 2
    return {"pairs": pairs, "orders": found, "seconds": time.perf_counter() - start}


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "--sympy":
        with open(sys.argv[3]) as file:
            losses = json.load(file)
        part = {"decompile": sympy_decompile, "compare": sympy_compare}[sys.argv[2]]
        print(json.dumps(part(losses)))
        return
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    binary = os.path.abspath(sys.argv[1])
    rows = []
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        losses, _, _ = run([binary, "losses"])
        json.dump(losses, file)
        file.flush()
        for part in ("decompile", "compare"):
            ours, _, memory = run([binary, part])
            theirs, _, other = run([sys.executable, os.path.abspath(__file__), "--sympy", part, file.name])
            for order in ("equal", "entails", "entailed_by") if part == "compare" else ():
                if theirs["orders"][order] != ours["orders"].get(order, 0):
                    sys.exit(f"SymPy finds {theirs['orders'][order]} pairs {order}, not {ours['orders'].get(order, 0)}")
            ratio = theirs["seconds"] / ours["seconds"]
            what = f"decompile {ours['logic']} losses" if part == "decompile" else f"compare {ours['pairs']} pairs"
            rows.append((what, ours["seconds"], memory, theirs["seconds"], other, ratio))
            if ours["accepted"] != ours["logic" if part == "decompile" else "pairs"]:
                sys.exit(f"{part}: the checker refuses a proof")
            print(part, "ponens", json.dumps(ours), "sympy", json.dumps(theirs), file=sys.stderr)
        for atoms, pairs in (("3", "1000"), ("4", "1000"), ("5", "1000"), ("6", "1000")):
            ours, _, memory = run([binary, "random", atoms, pairs])
            print("random", json.dumps(ours), file=sys.stderr)
            undecided = ours["orders"].get("undecided", 0)
            if ours["accepted"] != sum(ours["orders"].values()):
                sys.exit(f"{atoms} atoms: the checker refuses a proof")
            what = f"compare {pairs} random pairs of {atoms} atoms, {undecided} undecided, the longest {ours['longest_seconds'] * 1000:.3g} ms"
            rows.append((what, ours["seconds"], memory, None, None, None))
        for atoms in ("2", "3", "4"):
            ours, wall, memory = run([binary, "landscape", atoms])
            print("landscape", json.dumps(ours), file=sys.stderr)
            rows.append((f"landscape of {atoms} atoms: {ours['structures']:,} structures", ours["seconds"], memory, None, None, None))
    print("| what | ponens | peak memory | SymPy | peak memory | ratio |")
    print("|---|---|---|---|---|---|")
    for what, seconds, memory, theirs, other, ratio in rows:
        beside = f"{theirs:.3g} s | {other:.0f} MiB | {ratio:,.0f}" if theirs else "- | - | -"
        print(f"| {what} | {seconds * 1000:.3g} ms | {memory:.0f} MiB | {beside} |")


if __name__ == "__main__":
    main()
