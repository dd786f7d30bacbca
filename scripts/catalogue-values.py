#!/usr/bin/env python3
"""Writes the check values of the catalogue: `// check ROW = VALUE` lines below each loss.

The formulas here are written from the papers, with 60 digits and apart from the loss language, so
that a loss whose text is wrong disagrees with its own line. Needs mpmath (sympy brings it).

    python3 scripts/catalogue-values.py          # write the lines
    python3 scripts/catalogue-values.py --check  # exit 1 where a line would change
"""

import json
import pathlib
import sys

from mpmath import exp, expm1, log, log1p, mp, mpf, sqrt

mp.dps = 60
ROOT = pathlib.Path(__file__).resolve().parent.parent / "losses" / "catalogue"


def ls(x):
    """log sigmoid"""
    return -log1p(exp(-x)) if x > 0 else x - log1p(exp(x))


def s(x):
    return 1 / (1 + exp(-x))


class Row(dict):
    """A row by canonical column names; `row.n("logp(pi,w)")` is its exact number."""

    def n(self, name):
        v = self[name]
        return [mpf(x) if not isinstance(x, list) else [mpf(y) for y in x] for x in v] if isinstance(v, list) else mpf(v)


POLICY = {"logp(pi,w)": -10.25, "logp(pi,l)": -12.5}
PAIR = {**POLICY, "logp(ref,w)": -11.0, "logp(ref,l)": -11.75}
LENGTHS = {"len(w)": 8, "len(l)": 10}
TWO = [
    PAIR,
    {"logp(pi,w)": -40.0, "logp(pi,l)": -31.5, "logp(ref,w)": -36.5, "logp(ref,l)": -33.25},
    {"logp(pi,w)": -3.5, "logp(pi,l)": -0.125, "logp(ref,w)": -3.0, "logp(ref,l)": -0.25},
]
SEQUENCES = {
    "token_logp(pi,y)": [-0.5, -2.25, -0.125, -1.0],
    "token_logp(ref,y)": [-0.75, -2.0, -0.5, -0.25],
}
GROUP = {
    "token_logp(pi,y)": [[-0.5, -2.25], [-0.125, -1.0, -3.5], [-0.75]],
    "token_logp(old,y)": [[-0.75, -2.0], [-0.25, -1.5, -3.0], [-0.5]],
    "token_logp(ref,y)": [[-0.5, -2.5], [-0.5, -0.75, -3.25], [-1.0]],
    "reward": [1.0, 0.25, -0.5],
}


def parts(r):
    lc, lr = r.n("logp(pi,w)"), r.n("logp(pi,l)")
    if "logp(ref,w)" not in r:
        return lc, lr
    rc, rr = r.n("logp(ref,w)"), r.n("logp(ref,l)")
    return lc, lr, rc, rr, lc - rc, lr - rr, (lc - rc) - (lr - rr)


def means(r):
    nc, nr = r.n("len(w)"), r.n("len(l)")
    return [r.n(f"logp({m},w)") / nc for m in ("pi", "ref") if f"logp({m},w)" in r] + [
        r.n(f"logp({m},l)") / nr for m in ("pi", "ref") if f"logp({m},l)" in r
    ]


def dpo_like(f, beta=mpf("0.1")):
    return lambda r: f(beta, *parts(r))


def D(f, beta=mpf("0.1")):
    """Of beta D alone."""
    return lambda r: f(beta * parts(r)[6])


def ab(f, beta=mpf("0.1")):
    return lambda r: f(beta, parts(r)[4], parts(r)[5])


def nll(r, response="w"):
    return -r.n(f"logp(pi,{response})") / r.n(f"len({response})")


E = {name: mpf(x) for name, x in {"e": "0.1", "exo": "0.001", "b": "0.1", "half": "0.5"}.items()}


def exo(z):
    e = E["exo"]
    return s(z) * (ls(z) - log(1 - e)) + s(-z) * (ls(-z) - log(e))


def discopop(z):
    m = s(z / mpf("0.05"))
    return -ls(z) * (1 - m) + exp(-z) * m


def ipo(r):
    pw, fw, pl, fl = means(r)
    return ((pw - fw) - (pl - fl) - 1 / (2 * E["b"])) ** 2


def sigmoid_norm(r):
    pw, fw, pl, fl = means(r)
    return -ls(5 * ((pw - fw) - (pl - fl)))


def simpo(r):
    pw, pl = means(r)
    return -ls(2 * (pw - pl) - mpf("0.5"))


def orpo(r):
    pw, pl = means(r)
    odds = lambda a: a - log(-expm1(a))
    return -pw - E["b"] * ls(odds(pw) - odds(pl))


def rrhf(r):
    pw, pl = means(r)
    return max(mpf(0), pl - pw) - r.n("logp(pi,w)")


def slic(r):
    lc, lr = parts(r)[:2]
    return max(mpf(0), 1 - lc + lr) + E["b"] * nll(r)


def ld(r):
    x = {m + p: r.n(f"shared_logp({m},{p})") + E["half"] * r.n(f"tail_logp({m},{p})") for m in ("pi", "ref") for p in "wl"}
    return -ls(E["b"] * ((x["piw"] - x["refw"]) - (x["pil"] - x["refl"])))


def wpo(r):
    weight = exp(sum((r.n(f"logp(pi,{y})") - r.n(f"log_sum_p2(pi,{y})")) / r.n(f"len({y})") for y in "wl"))
    return -weight * ls(E["b"] * parts(r)[6])


def mpo(r):
    _, _, _, _, a, b, d = parts(r)
    return mpf("0.8") * -ls(E["b"] * d) + mpf("0.2") * (-ls(E["b"] * a) - ls(-E["b"] * b)) + nll(r)


def tdpo(form):
    def f(r):
        kl = r.n("kl(ref,pi,l)") - r.n("kl(ref,pi,w)")
        return -ls(E["b"] * (parts(r)[6] - (kl if form == 1 else E["half"] * kl)))

    return f


def mcts(r):
    x = {m + y: r.n(f"diverged_logp({m},{y})") for m in ("pi", "ref") for y in "wl"}
    z = E["b"] * ((x["piw"] - x["refw"]) - (x["pil"] - x["refl"]))
    e = r.n("smoothing")
    return -(1 - e) * ls(z) - e * ls(-z)


def dpo_pl(r):
    z = [E["b"] * (p - q) for p, q in zip(r.n("logp(pi,y)"), r.n("logp(ref,y)"))]
    return sum(log(sum(exp(x) for x in z[k:])) - z[k] for k in range(len(z)))


def info_nca(r):
    z = [E["b"] * (p - q) for p, q in zip(r.n("logp(pi,y)"), r.n("logp(ref,y)"))]
    soft = lambda v: [exp(x) / sum(exp(y) for y in v) for x in v]
    return -sum(t * log(q) for t, q in zip(soft(r.n("score")), soft(z)))


def oreo(form):
    def f(r):
        beta, alpha = mpf("0.03"), mpf("0.01")
        d = [p - q for p, q in zip(r.n("token_logp(pi,y)"), r.n("token_logp(ref,y)"))]
        v, reward, n = r.n("value(pi,y)"), r.n("reward"), len(d)
        square = sum((v[t] - reward + beta * sum(d[t:])) ** 2 for t in range(n)) / n
        return square if form == 1 else square + alpha * sum(r.n("token_kl(pi,ref,y)")) / n

    return f


def clipped(ratio, a, low, high):
    return min(ratio * a, min(max(ratio, 1 - low), 1 + high) * a)


def ppo(r):
    e = mpf("0.2")
    t = [clipped(exp(p - q), a, e, e) for p, q, a in zip(r.n("token_logp(pi,y)"), r.n("token_logp(old,y)"), r.n("advantage"))]
    return -sum(t) / len(t)


def advantages(rewards):
    mean = sum(rewards) / len(rewards)
    std = sqrt(sum((x - mean) ** 2 for x in rewards) / (len(rewards) - 1))
    return [(x - mean) / (std + mpf("0.0001")) for x in rewards]


def grpo(r):
    pi, old, ref = (r.n(f"token_logp({m},y)") for m in ("pi", "old", "ref"))
    e, beta, out = mpf("0.2"), mpf("0.04"), []
    for i, a in enumerate(advantages(r.n("reward"))):
        t = [beta * (exp(f - p) - (f - p) - 1) - clipped(exp(p - o), a, e, e) for p, o, f in zip(pi[i], old[i], ref[i])]
        out.append(sum(t) / len(t))
    return sum(out) / len(out)


def gspo(r):
    pi, old = (r.n(f"token_logp({m},y)") for m in ("pi", "old"))
    out = []
    for i, a in enumerate(advantages(r.n("reward"))):
        ratio = exp(sum(p - o for p, o in zip(pi[i], old[i])) / len(pi[i]))
        out.append(-clipped(ratio, a, mpf("0.0003"), mpf("0.0004")))
    return sum(out) / len(out)


def rloo(r):
    rewards, logp = r.n("reward"), r.n("logp(pi,y)")
    n = len(rewards)
    return -sum((x - (sum(rewards) - x) / (n - 1)) * l for x, l in zip(rewards, logp)) / n


def aot(paired):
    def f(rows):
        x = [parts(r) for r in rows]
        if paired:
            high, low = sorted(p[0] - p[1] for p in x), sorted(p[2] - p[3] for p in x)
        else:
            high, low = sorted(p[4] for p in x), sorted(p[5] for p in x)
        return sum(-ls(E["b"] * (h - l)) for h, l in zip(high, low)) / len(x)

    return f


def sft(rows):
    return -sum(r.n("logp(pi,w)") for r in rows) / sum(r.n("len(w)") for r in rows)


def kto(rows):
    z = max(mpf(0), sum(r.n("mismatched_logp(pi)") - r.n("mismatched_logp(ref)") for r in rows) / len(rows))
    a = [r.n("logp(pi,y)") - r.n("logp(ref,y)") for r in rows]
    return sum(s(-E["b"] * (x - z)) if r["label"] else s(-E["b"] * (z - x)) for x, r in zip(a, rows)) / len(rows)


def bco(r):
    x = E["b"] * (r.n("logp(pi,y)") - r.n("logp(ref,y)")) - r.n("running_mean")
    return -ls(x if r["label"] else -x)


def unpaired(good, bad):
    return lambda r: (good if r["label"] else bad)(E["b"] * (r.n("logp(pi,y)") - r.n("logp(ref,y)")))


def lattice(top, bottom, reference):
    """SEMANTICS, section 5: T by row, B by column."""
    t = {"ORPO": lambda w, l: w * (1 - l), "cCPO": lambda w, l: w, "cfUNL": lambda w, l: 1 - l, "unCPO": lambda w, l: 1 - l * (1 - w)}[top]
    b = {"ORPO": lambda w, l: l * (1 - w), "cUNL": lambda w, l: l, "l3": lambda w, l: 1 - w, "CEUnl": lambda w, l: 1 - w * (1 - l)}[bottom]

    def f(r):
        p = parts(r)
        w, l = exp(p[0]), exp(p[1])
        rho = log(t(w, l)) - log(b(w, l))
        return -ls(rho - (p[2] - p[3]) if reference else rho)

    return f


def reg(sign):
    return lambda r: -ls(sum(r.n(f"{sign}(pi,w)")) - sum(r.n(f"{sign}(pi,l)")))


UNPAIRED = [
    {"logp(pi,y)": -10.25, "logp(ref,y)": -11.0, "label": True},
    {"logp(pi,y)": -12.5, "logp(ref,y)": -11.75, "label": False},
]
KTO = [
    {**UNPAIRED[0], "mismatched_logp(pi)": -20.5, "mismatched_logp(ref)": -22.0},
    {**UNPAIRED[1], "mismatched_logp(pi)": -30.0, "mismatched_logp(ref)": -29.5},
]
RANKED = {"logp(pi,y)": [-10.25, -12.5, -9.0, -14.0], "logp(ref,y)": [-11.0, -11.75, -9.5, -12.5]}
SHARED = {
    "shared_logp(pi,w)": -8.0, "tail_logp(pi,w)": 0.0, "shared_logp(pi,l)": -7.5, "tail_logp(pi,l)": -4.25,
    "shared_logp(ref,w)": -7.0, "tail_logp(ref,w)": 0.0, "shared_logp(ref,l)": -7.75, "tail_logp(ref,l)": -3.5,
}
DIVERGED = {"diverged_logp(pi,w)": -4.0, "diverged_logp(pi,l)": -6.5, "diverged_logp(ref,w)": -4.5, "diverged_logp(ref,l)": -5.0, "smoothing": 0.25}
TOKENS = {"token_reward(pi,w)": [0.5, -0.25, 1.0], "token_reward(pi,l)": [0.125, 0.25]}
ADVANTAGES = {"advantage(pi,w)": [0.5, -0.25, 1.0], "advantage(pi,l)": [0.125, 0.25]}
BY_TOKEN = {
    "token_logp(pi,w)": [-0.5, -2.25], "token_logp(ref,w)": [-0.75, -2.0],
    "token_logp(pi,l)": [-0.125, -1.0, -3.5], "token_logp(ref,l)": [-0.5, -0.75, -3.25],
}


def by_token(r):
    total = {k: sum(r.n(f"token_logp({k[:-1]},{k[-1]})")) for k in ("piw", "refw", "pil", "refl")}
    return -ls(E["b"] * ((total["piw"] - total["refw"]) - (total["pil"] - total["refl"])))


CHECKS = {
    "pair/dpo": (PAIR, D(lambda z: -ls(z))),
    "pair/curry_dpo": (PAIR, D(lambda z: -ls(z))),
    "pair/cdpo": (PAIR, D(lambda z: -(1 - E["e"]) * ls(z) - E["e"] * ls(-z))),
    "pair/rdpo_robust": (PAIR, D(lambda z: (-(1 - E["e"]) * ls(z) + E["e"] * ls(-z)) / (1 - 2 * E["e"]))),
    "pair/ipo": ({**PAIR, **LENGTHS}, ipo),
    "pair/ipo_sum": (PAIR, lambda r: (parts(r)[6] - 1 / (2 * E["b"])) ** 2),
    "pair/hinge": (PAIR, D(lambda z: max(mpf(0), 1 - z))),
    "pair/slic_hf": ({**POLICY, **LENGTHS}, slic),
    "pair/rrhf": ({**POLICY, **LENGTHS}, rrhf),
    "pair/exo_pair": (PAIR, D(exo)),
    "pair/nca_pair": (PAIR, ab(lambda k, a, b: -ls(k * a) - ls(-k * a) / 2 - ls(-k * b) / 2)),
    "pair/bco_pair": (PAIR, ab(lambda k, a, b: -ls(k * a) - ls(-k * b))),
    "pair/sppo_hard": (PAIR, ab(lambda k, a, b: (a - 1 / (2 * k)) ** 2 + (b + 1 / (2 * k)) ** 2)),
    "pair/apo_zero": (PAIR, ab(lambda k, a, b: s(-k * a) + s(k * b))),
    "pair/apo_down": (PAIR, ab(lambda k, a, b: s(k * a) + s(-k * (a - b)))),
    "pair/discopop": (PAIR, D(discopop)),
    "pair/sigmoid_norm": ({**PAIR, **LENGTHS}, sigmoid_norm),
    "pair/dpop": (PAIR, dpo_like(lambda k, lc, lr, rc, rr, a, b, d: -ls(k * (d - 5 * max(mpf(0), rc - lc))))),
    "pair/dpop_outside": (PAIR, dpo_like(lambda k, lc, lr, rc, rr, a, b, d: -ls(k * d) + 5 * max(mpf(0), rc - lc))),
    "pair/odpo": ({**PAIR, "offset": 0.375}, lambda r: -ls(E["b"] * parts(r)[6] - r.n("offset"))),
    "pair/r_dpo": ({**PAIR, **LENGTHS}, lambda r: -ls(E["b"] * parts(r)[6] + mpf("0.01") * (r.n("len(w)") - r.n("len(l)")))),
    "pair/cpo": ({**POLICY, **LENGTHS}, lambda r: -ls(E["b"] * (parts(r)[0] - parts(r)[1])) + nll(r)),
    "pair/simpo": ({**POLICY, **LENGTHS}, simpo),
    "pair/orpo": ({**POLICY, **LENGTHS}, orpo),
    "pair/ld_dpo": (SHARED, ld),
    "pair/wpo": ({**PAIR, **LENGTHS, "log_sum_p2(pi,w)": -5.0, "log_sum_p2(pi,l)": -6.25}, wpo),
    "pair/rpo": ({**PAIR, **LENGTHS}, lambda r: -ls(E["b"] * parts(r)[6]) + nll(r)),
    "pair/mpo": ({**PAIR, **LENGTHS}, mpo),
    "pair/dpo_forward_kl": (PAIR, ab(lambda k, a, b: -ls(k * (-expm1(-a) + expm1(-b))))),
    "pair/dpo_js": (PAIR, ab(lambda k, a, b: -ls(k * (ls(a) - ls(b))))),
    "pair/dpo_alpha": (PAIR, ab(lambda k, a, b: -ls(k * ((exp(-a / 2) - 1) / mpf("-0.5") - (exp(-b / 2) - 1) / mpf("-0.5"))))),
    "pair/tdpo1": ({**PAIR, "kl(ref,pi,w)": 1.5, "kl(ref,pi,l)": 2.25}, tdpo(1)),
    "pair/tdpo2": ({**PAIR, "kl(ref,pi,w)": 1.5, "kl(ref,pi,l)": 2.25}, tdpo(2)),
    "pair/dpo_rationale": ({**PAIR, "logp(pi,rationale)": -6.5}, lambda r: -ls(E["b"] * parts(r)[6]) - E["b"] * r.n("logp(pi,rationale)")),
    "pair/dpo_rationale_sigmoid": (
        {**PAIR, "logp(pi,rationale)": -6.5},
        lambda r: -ls(E["b"] * parts(r)[6]) - ls(E["b"] * r.n("logp(pi,rationale)")),
    ),
    "pair/mcts_dpo": (DIVERGED, mcts),
    "pair/reward_bt": ({"reward(pi,w)": 1.25, "reward(pi,l)": 0.5, "margin": 0.375}, lambda r: -ls(r.n("reward(pi,w)") - r.n("reward(pi,l)") - r.n("margin"))),
    "pair/regret": (ADVANTAGES, reg("advantage")),
    "pair/regret_optimal": (BY_TOKEN, by_token),
    "pair/partial_return": (TOKENS, reg("token_reward")),
    "labelled/apo_zero_unpaired": (UNPAIRED[1], unpaired(lambda z: s(-z), s)),
    "labelled/bco": ({**UNPAIRED[1], "running_mean": 0.25}, bco),
    "labelled/kto": (KTO, kto),
    "batch/aot": (TWO, aot(True)),
    "batch/aot_unpaired": (TWO, aot(False)),
    "batch/sft": ([{"logp(pi,w)": -10.25, "len(w)": 8}, {"logp(pi,w)": -3.5, "len(w)": 5}], sft),
    "ranked/dpo_pl": (RANKED, dpo_pl),
    "ranked/info_nca": ({**RANKED, "score": [0.5, -1.0, 2.0, 0.25]}, info_nca),
    "trajectory/oreo_value": ({**SEQUENCES, "value(pi,y)": [0.5, 0.25, 1.0, 0.75], "reward": 1.0}, oreo(1)),
    "trajectory/oreo_policy": ({**SEQUENCES, "value(pi,y)": [0.5, 0.25, 1.0, 0.75], "reward": 1.0, "token_kl(pi,ref,y)": [0.25, 0.5, 0.0, 1.0]}, oreo(2)),
    "trajectory/ppo_clip": ({"token_logp(pi,y)": SEQUENCES["token_logp(pi,y)"], "token_logp(old,y)": SEQUENCES["token_logp(ref,y)"], "advantage": [1.0, -0.5, 2.0, -1.0]}, ppo),
    "group/grpo": (GROUP, grpo),
    "group/gspo": ({k: v for k, v in GROUP.items() if "ref" not in k}, gspo),
    "group/rloo": ({"logp(pi,y)": [-10.25, -12.5, -9.0], "reward": GROUP["reward"]}, rloo),
}
ROWS = [["ORPO", "cUNL", "l3", "CEUnl"], ["cCPO", "CPO", "CE", "sCE"], ["cfUNL", "fUNL", "qfUNL", "l20"], ["unCPO", "l14", "bCPO", "l5"]]
for top in ROWS:
    for k, name in enumerate(top):
        CHECKS[f"lattice/{name}"] = (POLICY, lattice(top[0], ROWS[0][k], False))
        CHECKS[f"lattice/{name}_ref"] = (PAIR, lattice(top[0], ROWS[0][k], True))


def main():
    stale = 0
    files = sorted(ROOT.glob("*/*.loss"))
    missing = {str(f.relative_to(ROOT).with_suffix("")) for f in files} ^ set(CHECKS)
    if missing:
        sys.exit(f"no formula, or no file: {', '.join(sorted(missing))}")
    for file in files:
        data, formula = CHECKS[str(file.relative_to(ROOT).with_suffix(""))]
        rows = [Row(r) for r in data] if isinstance(data, list) else Row(data)
        value = mp.nstr(formula(rows), 25, min_fixed=-8, max_fixed=20)
        line = f"// check {json.dumps(data)} = {value}\n"
        text = file.read_text()
        new = "".join(l for l in text.splitlines(True) if not l.startswith("// check ")) + line
        if new != text:
            stale += 1
            if "--check" not in sys.argv:
                file.write_text(new)
    print(f"{len(files)} losses, {stale} lines {'would change' if '--check' in sys.argv else 'written'}")
    sys.exit(1 if stale and "--check" in sys.argv else 0)


if __name__ == "__main__":
    main()
