//! Differently written forms of one loss reach the same graph, up to the order of commutative operands.

use super::text::written;
use crate::adjoint::{Wrt, differentiate};
use crate::mir::{Binary, Graph, Op};
use crate::rewrite::{Options, Purpose, optimise};

const GROUPS: &[(&str, &[&str])] = &[
    (
        "dpo",
        &[
            "-log(sigmoid(beta * (log(pw / qw) - log(pl / ql))))",
            "-log(1 / (1 + exp(-(beta * ((lw - rw) - (ll - rl))))))",
            "-log(sigmoid(beta * ((lw - ll) - (rw - rl))))",
            "-log(sigmoid(beta * log(pw * ql / (pl * qw))))",
            "-log(sigmoid(beta * (lw - rw) - beta * (ll - rl)))",
            "-log(sigmoid(beta * lw - beta * rw - beta * ll + beta * rl))",
            "log(1 + exp(-beta * (lw + rl - ll - rw)))",
            "softplus(beta * ((ll - rl) - (lw - rw)))",
            "-log(1 - sigmoid(-(beta * (log(pw) - log(qw) - log(pl) + log(ql)))))",
            "s = pow(pw / qw, beta); t = pow(pl / ql, beta); -log(s / (s + t))",
            "a = exp(beta * (lw - rw)); b = exp(beta * (ll - rl)); log(a + b) - log(a)",
            "a = beta * (lw - rw); b = beta * (ll - rl); -(a - log(exp(a) + exp(b)))",
        ],
    ),
    (
        "orpo odds",
        &[
            "-log(sigmoid(log((pw / (1 - pw)) / (pl / (1 - pl)))))",
            "-log(sigmoid(log(pw / (1 - pw)) - log(pl / (1 - pl))))",
            "-log(sigmoid((lw - ll) - (log(1 - pw) - log(1 - pl))))",
            "-log(sigmoid(log(pw * (1 - pl)) - log(pl * (1 - pw))))",
            "softplus(-((lw - log1mexp(lw)) - (ll - log1mexp(ll))))",
        ],
    ),
    (
        "simpo",
        &[
            "-log(sigmoid(beta * (lw / nw - ll / nl) - gamma))",
            "-log(sigmoid(beta / nw * lw - beta / nl * ll - gamma))",
            "softplus(gamma - beta * (lw / nw - ll / nl))",
        ],
    ),
    (
        "kto",
        &[
            "1 - sigmoid(beta * ((lw - rw) - kl))",
            "sigmoid(beta * (kl - (lw - rw)))",
            "1 / (1 + exp(beta * (lw - rw - kl)))",
            "1 - 1 / (1 + exp(-(beta * (lw - rw - kl))))",
        ],
    ),
    (
        "cdpo",
        &[
            "z = beta * ((lw - rw) - (ll - rl)); -(1 - e) * log(sigmoid(z)) - e * log(sigmoid(-z))",
            "z = beta * ((lw - ll) - (rw - rl)); (1 - e) * softplus(-z) + e * softplus(z)",
            "z = beta * ((lw - ll) - (rw - rl)); -((1 - e) * log(sigmoid(z)) + e * log(1 - sigmoid(z)))",
        ],
    ),
    (
        "js",
        &[
            "a = lw - rw; b = ll - rl; softplus(-(beta * ((log(2) + log(sigmoid(a))) - (log(2) + log(sigmoid(b))))))",
            "a = lw - rw; b = ll - rl; softplus(-(beta * (log(2 * sigmoid(a)) - log(2 * sigmoid(b)))))",
            "softplus(-(beta * (log(2 * pw / (pw + qw)) - log(2 * pl / (pl + ql)))))",
        ],
    ),
    (
        "forward kl",
        &[
            "softplus(-(beta * ((1 - exp(rw - lw)) - (1 - exp(rl - ll)))))",
            "softplus(-(beta * ((1 - qw / pw) - (1 - ql / pl))))",
            "softplus(beta * (qw / pw - ql / pl))",
        ],
    ),
    (
        "alpha",
        &[
            "a = lw - rw; b = ll - rl; -log(sigmoid(beta * ((exp((k - 1) * a) - 1) / (k - 1) - (exp((k - 1) * b) - 1) / (k - 1))))",
            "softplus(-(beta * ((pow(pw / qw, k - 1) - 1) / (k - 1) - (pow(pl / ql, k - 1) - 1) / (k - 1))))",
            "a = lw - rw; b = ll - rl; log(1 + exp(-(beta * ((1 - exp((k - 1) * a)) / (1 - k) - (1 - exp((k - 1) * b)) / (1 - k)))))",
        ],
    ),
    (
        "discopop",
        &[
            "z = beta * ((lw - rw) - (ll - rl)); m = sigmoid(z / tau); -log(sigmoid(z)) * (1 - m) + exp(-z) * m",
            "z = beta * ((lw - ll) - (rw - rl)); m = 1 / (1 + exp(-z / tau)); log(1 + exp(-z)) * (1 - m) + m / exp(z)",
            "z = beta * log(pw * ql / (pl * qw)); softplus(-z) * sigmoid(-z / tau) + exp(-z) * (1 - sigmoid(-z / tau))",
        ],
    ),
    (
        "apo_zero",
        &[
            "1 - sigmoid(beta * (lw - rw)) + sigmoid(beta * (ll - rl))",
            "sigmoid(-(beta * (lw - rw))) + sigmoid(beta * (ll - rl))",
            "sigmoid(beta * log(pl / ql)) + (1 - 1 / (1 + exp(-(beta * log(pw / qw)))))",
            "1 / (1 + exp(beta * (lw - rw))) + 1 / (1 + exp(beta * (rl - ll)))",
        ],
    ),
    (
        "apo_down",
        &[
            "sigmoid(beta * (lw - rw)) + 1 - sigmoid(beta * ((lw - rw) - (ll - rl)))",
            "sigmoid(beta * (lw - rw)) + sigmoid(-(beta * ((lw - rw) - (ll - rl))))",
            "sigmoid(beta * log(pw / qw)) + (1 - 1 / (1 + exp(-beta * ((lw - ll) - (rw - rl)))))",
        ],
    ),
    (
        "exo_pair",
        &[
            "z = beta * ((lw - rw) - (ll - rl)); sigmoid(z) * (log(sigmoid(z)) - log(1 - e)) + sigmoid(-z) * (log(sigmoid(-z)) - log(e))",
            "z = beta * ((lw - ll) - (rw - rl)); p = sigmoid(z); p * log(p / (1 - e)) + (1 - p) * log((1 - p) / e)",
            "z = beta * log(pw * ql / (pl * qw)); p = 1 / (1 + exp(-z)); p * (log(p) - log(1 - e)) + (1 - p) * (log(1 - p) - log(e))",
        ],
    ),
    (
        "ipo",
        &[
            "square((lw - rw) / nw - (ll - rl) / nl - 1 / (2 * beta))",
            "square((lw / nw - rw / nw) - (ll / nl - rl / nl) - 1 / (2 * beta))",
            "square(log(pw / qw) / nw - log(pl / ql) / nl - 1 / (2 * beta))",
        ],
    ),
    (
        "hinge",
        &[
            "max(0, 1 - beta * ((lw - rw) - (ll - rl)))",
            "max(0, 1 - beta * log(pw * ql / (pl * qw)))",
            "max(1 - (beta * (lw - rw) - beta * (ll - rl)), 0)",
        ],
    ),
];

/// Every root as text, with commutative operands in order and inputs by name.
fn canonical(graph: &Graph) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for node in &graph.nodes {
        let mut args: Vec<String> =
            node.op.operands().map(|o| texts[o.0 as usize].clone()).collect();
        use Binary::{Add, LogAddExp, Max, Min, Mul};
        if matches!(node.op, Op::Binary(Add | Mul | Max | Min | LogAddExp, ..)) {
            args.sort();
        }
        let name = match node.op {
            Op::Param(i) => graph.params[i as usize].name.clone(),
            Op::Input(i) => graph.inputs[i as usize].name.clone(),
            op => format!("{:?}", op.map(|_| crate::mir::NodeId(0))),
        };
        texts.push(format!("{name}[{}]", args.join(",")));
    }
    graph.roots.iter().map(|r| format!("{}={}", r.name, texts[r.node.0 as usize])).collect()
}

#[test]
fn equal_losses_reach_equal_graphs() {
    let mut unequal = Vec::new();
    for (name, texts) in GROUPS {
        for purpose in [Purpose::BeforeGradient, Purpose::Final] {
            let options = Options { purpose, ..Options::default() };
            let graph =
                |text: &str| optimise(&written(text), &options).expect("a stable form").graph;
            let first = graph(texts[0]);
            for text in &texts[1..] {
                let other = graph(text);
                let wanted = canonical(&first);
                if canonical(&other) != wanted {
                    unequal.push(format!(
                        "{name} {purpose:?}: {text}\n{}{}",
                        crate::rewrite::listing(&first),
                        crate::rewrite::listing(&other)
                    ));
                    continue;
                }
                if purpose == Purpose::BeforeGradient {
                    let gradients = |g: &Graph| {
                        let both = differentiate(g, Wrt::Policy);
                        let mut roots = canonical(
                            &optimise(&both, &Options::default()).expect("gradients").graph,
                        );
                        roots.sort();
                        roots
                    };
                    if gradients(&first) != gradients(&other) {
                        unequal.push(format!("{name}: the gradients of {text}"));
                    }
                }
            }
        }
    }
    assert!(unequal.is_empty(), "{}", unequal.join("\n"));
}
