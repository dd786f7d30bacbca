//! The published losses as papers write them, and the forms that they reach.

use super::gradient::with_gradients;
use super::text::written;
use crate::rewrite::{Options, listing, optimise};

pub(super) const LOSSES: &[(&str, &str)] = &[
    ("dpo", "-log(sigmoid(beta * (log(pw / qw) - log(pl / ql))))"),
    ("dpo_exp", "z = beta * log(pw * ql / (pl * qw)); -log(1 / (1 + exp(-z)))"),
    ("cpo", "-log(sigmoid(beta * (lw - ll))) - lambda * lw / nw"),
    ("orpo", "-lw / nw - lambda * log(sigmoid(log((pw / (1 - pw)) / (pl / (1 - pl)))))"),
    ("simpo", "-log(sigmoid(beta * (lw / nw - ll / nl) - gamma))"),
    ("cdpo", "z = beta * ((lw - rw) - (ll - rl)); -(1 - e) * log(sigmoid(z)) - e * log(sigmoid(-z))"),
    (
        "robust",
        "z = beta * ((lw - rw) - (ll - rl)); (-(1 - e) * log(sigmoid(z)) + e * log(sigmoid(-z))) / (1 - 2 * e)",
    ),
    (
        "exo",
        "z = beta * ((lw - rw) - (ll - rl)); sigmoid(z) * (log(sigmoid(z)) - log(1 - e)) + sigmoid(-z) * (log(sigmoid(-z)) - log(e))",
    ),
    (
        "discopop",
        "z = beta * ((lw - rw) - (ll - rl)); m = sigmoid(z / tau); -log(sigmoid(z)) * (1 - m) + exp(-z) * m",
    ),
    ("kto", "1 - sigmoid(beta * ((lw - rw) - kl))"),
    ("forward_kl", "a = lw - rw; b = ll - rl; -log(sigmoid(beta * ((1 - exp(-a)) - (1 - exp(-b)))))"),
    ("js", "a = lw - rw; b = ll - rl; -log(sigmoid(beta * ((log(2) + log(sigmoid(a))) - (log(2) + log(sigmoid(b))))))"),
    (
        "alpha",
        "a = lw - rw; b = ll - rl; -log(sigmoid(beta * ((exp((k - 1) * a) - 1) / (k - 1) - (exp((k - 1) * b) - 1) / (k - 1))))",
    ),
    ("ipo2", "square((lw / nw - rw / nw) - (ll / nl - rl / nl) - 1 / (2 * beta))"),
    ("hinge", "max(0, 1 - beta * ((lw - rw) - (ll - rl)))"),
    ("ipo", "square((lw - rw) / nw - (ll - rl) / nl - 1 / (2 * beta))"),
    ("ppo", "r = exp(lw - rw); -min(r * adv, min(max(r, 1 - e), 1 + e) * adv)"),
];

#[test]
fn show() {
    let only = std::env::var("ONLY").unwrap_or_default();
    for (name, text) in LOSSES.iter().filter(|(n, _)| n.contains(&only)) {
        let graph = written(text);
        let start = std::time::Instant::now();
        match optimise(&graph, &Options { purpose: crate::rewrite::Purpose::BeforeGradient, ..Options::default() }) {
            Ok(value) => {
                println!("== {name} {:?} {:?} {} nodes {} its stopped {:?} {:?}", start.elapsed(), value.cost, value.stats.e_nodes, value.stats.iterations, value.stats.stopped, value.warnings.len());
                println!("{}", listing(&value.graph));
                let both = with_gradients(&value.graph);
                let start = std::time::Instant::now();
                match optimise(&both, &Options::default()) {
                    Ok(value) => {
                        let t0 = std::time::Instant::now();
                        let d = optimise(&both, &Options { derive: true, ..Options::default() }).unwrap();
                        let t1 = std::time::Instant::now();
                        match &d.derivation {
                            Some(d) => println!("PROOF {name} {} lemmas {} steps, in {:?} {:?} {:?}", d.lemmas.len(), d.lemmas.iter().map(|l| l.steps.len()).sum::<usize>(), t1 - t0, crate::rewrite::verify_derivation(d).map_err(|e| { let l = d.lemmas.iter().find(|l| l.node == e.node).unwrap(); let s = e.step.map(|s| &l.steps[s]); (e.to_string(), s.map(|s| (s.rule, s.before.to_expr().to_string(), s.after.to_expr().to_string(), s.reversed)))}), t1.elapsed()),
                            None => println!("PROOF {name} none {:?}", d.warnings),
                        }
                        println!("-- {name} {:?} {:?} {} nodes {} its stopped {:?} {:?}", start.elapsed(), value.cost, value.stats.e_nodes, value.stats.iterations, value.stats.stopped, value.warnings.len());
                        println!("{}", listing(&value.graph));
                        if value.stats.stopped.is_some() || std::env::var("RULES").is_ok() {
                            println!("{:#?}", value.stats.applied);
                        }
                    }
                    Err(e) => println!("{listing} !! {e:?}", listing = listing(&both)),
                }
            }
            Err(e) => println!("{name} !! {e:?}"),
        }
    }
}

#[test]
fn dump() {
    use crate::rewrite::analysis::{Domain, Egraph};
    use crate::rewrite::runner::{Limits, Runner};
    let only = std::env::var("ONLY").unwrap_or("cpo".into());
    let (_, text) = LOSSES.iter().find(|(n, _)| *n == only).unwrap();
    let mut graph = written(text);
    if std::env::var("GRAD").is_ok() {
        graph = with_gradients(&optimise(&graph, &Options { purpose: crate::rewrite::Purpose::BeforeGradient, ..Options::default() }).unwrap().graph);
    }
    let mut egraph = Egraph::new(Domain::new(&graph));
    crate::rewrite::load(&mut egraph, &graph);
    Runner::new(Limits::default()).unwrap().run(&mut egraph);
    let mut ids: Vec<_> = egraph.classes().map(|c| c.id).collect();
    ids.sort();
    let forms = crate::rewrite::normal::Forms::read(&egraph);
    for id in ids {
        println!("{id}: {:?} {:.3} {:?} {:?}", egraph[id].nodes.iter().map(|n| format!("{n}{}", egg::Language::children(n).iter().map(|c| c.to_string()).collect::<Vec<_>>().join(","))).collect::<Vec<_>>(), egraph[id].data.print, forms.sum(id), forms.product(id));
    }
    for n in crate::rewrite::build::canonical_nodes(&mut egraph) {
        print!("{n}{:?} ", egg::Language::children(&n.clone()).iter().map(|c| egraph.find(*c)).collect::<Vec<_>>());
    }
}
