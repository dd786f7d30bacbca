//! Rows and steps: what was compiled comes back, and a wrong step is caught.

use crate::support::{lattice, pair, quad};
use crate::{Build, compiled};
use ponens_compiler::circuit::{Circuit, Node};
use ponens_compiler::decompile::{
    BinaryOp, Claim, Expr, ExprKind, Law, Reason, UnaryOp, Wrong, check, decompile, decompile_over,
};
use ponens_compiler::hir::{NoLibrary, Program};
use ponens_compiler::logic::{Atom, Structure, Table};
use ponens_compiler::lower;
use ponens_compiler::mir::{self, Graph, NodeId, Op};
use ponens_compiler::rewrite::{self, Options, Purpose};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// The 225 structures of two atoms with winning and losing rows.
fn two_atom_structures() -> impl Iterator<Item = Structure> {
    (0..256u64)
        .map(|bits| Structure::from_rows(pair(), Table(bits & 15), Table(bits >> 4)).unwrap())
        .filter(|s| s.validate().is_ok())
}

/// The weighted count of a circuit, written as the circuit is built.
fn of_circuit(rows: Table, atoms: &[Atom]) -> Expr {
    let circuit = Circuit::from_table(rows, atoms.len());
    let complement = |e| Expr::binary(BinaryOp::Sub, Expr::integer(1, 0), e, 0);
    let mut values: Vec<Expr> = Vec::new();
    for node in circuit.nodes() {
        let joined = |op: BinaryOp, parts: &[usize], unit: i64| {
            let parts = parts.iter().map(|i| values[*i].clone());
            parts.reduce(|a, b| Expr::binary(op, a, b, 0)).unwrap_or_else(|| Expr::integer(unit, 0))
        };
        let value = match node {
            Node::Constant(value) => Expr::integer(i64::from(*value), 0),
            Node::Literal { atom, positive: true } => Expr::prob(atoms[*atom].clone(), 0),
            Node::Literal { atom, positive: false } => {
                complement(Expr::prob(atoms[*atom].clone(), 0))
            }
            Node::Product(parts) => joined(BinaryOp::Mul, parts, 1),
            Node::Sum(parts) => joined(BinaryOp::Add, parts, 0),
            Node::Complement(part) => complement(values[*part].clone()),
        };
        values.push(value);
    }
    values[circuit.root()].clone()
}

#[test]
fn every_two_atom_structure_comes_back() {
    for bits in 0..256u64 {
        let structure = Structure::from_rows(pair(), Table(bits & 15), Table(bits >> 4)).unwrap();
        if structure.validate().is_err() {
            // Without winning rows rho is log 0, without losing rows a division by 0.
            let reason = decompile_over(&compiled(&structure), &pair()).unwrap_err().reason;
            assert!(
                matches!(reason, Reason::LogOfNonPositive | Reason::DivisionByZero),
                "{reason}"
            );
        }
    }
    // 31 without winning or losing rows.
    assert_eq!(two_atom_structures().count(), 225);
    let mut classes = BTreeSet::new();
    let mut constant = 0;
    for structure in two_atom_structures() {
        let [top, bottom] = [structure.wins, structure.loses].map(|t| of_circuit(t, &pair()));
        let circuit = Expr::unary(UnaryOp::Log, Expr::binary(BinaryOp::Div, top, bottom, 0), 0);
        for rho in [compiled(&structure), circuit] {
            match decompile_over(&rho, &pair()) {
                Ok(found) => {
                    check(&rho, &found).unwrap();
                    assert_eq!(found.structure, structure.canonical());
                    assert!(found.structure.same_rho(&structure));
                    assert_eq!(found.written.unwrap().over(&pair()).unwrap(), structure);
                    let reduced = found.structure.over(&pair()).unwrap();
                    classes.insert((reduced.wins, reduced.loses));
                }
                Err(why) => {
                    // W = L: rho is 0. The rows come back all the same.
                    assert_eq!(why.reason, Reason::Constant);
                    assert_eq!(structure.wins, structure.loses);
                    assert_eq!(why.written.unwrap().over(&pair()).unwrap(), structure);
                    constant += 1;
                }
            }
        }
    }
    // Those with W = L are one class.
    assert_eq!((classes.len() + 1, constant), (187, 2 * 15));
}

/// The root of a graph as an expression, shared nodes written again and again.
fn of_graph(graph: &Graph) -> Expr {
    let mut values: Vec<Expr> = Vec::new();
    for node in &graph.nodes {
        let at = |id: NodeId| values[id.0 as usize].clone();
        let value = match node.op {
            Op::Const(x) => Expr::number(x, 0),
            Op::Input(i) => {
                let name = &graph.inputs[usize::from(i)].name;
                let y = name.strip_prefix("logp(pi,").and_then(|y| y.strip_suffix(')'));
                Expr::logp(Atom::response("pi", y.unwrap_or_else(|| panic!("{name}"))), 0)
            }
            Op::Unary(op, a) => {
                let op = match op {
                    mir::Unary::Neg => UnaryOp::Neg,
                    mir::Unary::Exp => UnaryOp::Exp,
                    mir::Unary::Log => UnaryOp::Log,
                    mir::Unary::Log1p => UnaryOp::Log1p,
                    mir::Unary::Expm1 => UnaryOp::Expm1,
                    mir::Unary::Log1mExp => UnaryOp::Log1mExp,
                    mir::Unary::Softplus => UnaryOp::Softplus,
                    mir::Unary::Sigmoid => UnaryOp::Sigmoid,
                    other => panic!("{other:?}"),
                };
                Expr::unary(op, at(a), 0)
            }
            Op::Binary(op, a, b) => match op {
                mir::Binary::Add => Expr::binary(BinaryOp::Add, at(a), at(b), 0),
                mir::Binary::Sub => Expr::binary(BinaryOp::Sub, at(a), at(b), 0),
                mir::Binary::Mul => Expr::binary(BinaryOp::Mul, at(a), at(b), 0),
                mir::Binary::Div => Expr::binary(BinaryOp::Div, at(a), at(b), 0),
                mir::Binary::LogAddExp => {
                    Expr { kind: ExprKind::LogSumExp(vec![at(a), at(b)]), tag: 0 }
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        values.push(value);
    }
    values[graph.roots[0].node.0 as usize].clone()
}

/// How many reduced fractions the structures have once their rho was rewritten.
fn classes_after_rewriting(structures: impl Iterator<Item = Structure>) -> usize {
    let mut classes = BTreeSet::new();
    let mut constant = 0;
    for structure in structures {
        let core = structure.core().shown(&structure.atoms);
        let text = format!(
            "loss x() {{ data pair(w > l)\n model pi = policy\n {core}\n minimize logistic(rho) }}"
        );
        let mut program = Program::new();
        let (_, found) = program.add_text("<test>", &text);
        assert!(found.is_empty(), "{text}: {found:?}");
        let (loss, found) = program.resolve("x", &NoLibrary);
        let loss = loss.unwrap_or_else(|| panic!("{text}: {found:?}"));
        let written = lower::rho(&lower::lower(&loss)).unwrap();
        let options = Options { purpose: Purpose::Final, ..Options::default() };
        let rho = of_graph(&rewrite::optimise(&written, &options).unwrap().graph);
        match decompile_over(&rho, &pair()) {
            Ok(found) => {
                assert_eq!(check(&rho, &found), Ok(()));
                assert_eq!(found.structure, structure.canonical(), "{rho}");
                let reduced = found.structure.over(&pair()).unwrap();
                classes.insert((reduced.wins, reduced.loses));
            }
            Err(why) => {
                assert_eq!((why.reason, structure.wins), (Reason::Constant, structure.loses));
                constant = 1;
            }
        }
    }
    classes.len() + constant
}

#[test]
fn rewriting_keeps_every_fraction() {
    assert_eq!(classes_after_rewriting(two_atom_structures()), 187);
}

#[test]
fn the_lattice_and_its_reference_versions_come_back() {
    for node in lattice() {
        for structure in [node.structure(), node.structure().reference_version().unwrap()] {
            let rho = compiled(&structure);
            let found = decompile_over(&rho, &structure.atoms).unwrap();
            check(&rho, &found).unwrap();
            assert_eq!(found.structure, structure.canonical(), "{}", node.name);
        }
    }
}

#[test]
fn a_corrupted_step_is_caught() {
    let b = Build::default();
    let gamma = b.symbol("gamma", 0.0, f64::INFINITY);
    let rho = b.sub(
        b.add(
            b.sub(b.logp("w"), b.un(UnaryOp::Log1mExp, b.logp("l"))),
            b.sub(b.logp("l"), b.logp("l")),
        ),
        gamma,
    );
    let found = decompile(&rho).unwrap();
    check(&rho, &found).unwrap();
    let laws: Vec<Law> = found.steps.iter().map(|s| s.law).collect();
    assert!(laws.contains(&Law::CommonFactor) && laws.contains(&Law::ConstantAtom), "{laws:?}");
    for i in 0..found.steps.len() {
        let mut wrong = found.clone();
        match &mut wrong.steps[i].claim {
            Claim::Equal { after, .. } => *after = b.add(after.clone(), b.logp("l")),
            Claim::SameFraction { after, .. } => {
                let first = after.factors[0].clone();
                after.factors.push(first);
            }
            Claim::Rows { structure, .. } => structure.wins = structure.wins.not(structure.n()),
            Claim::Clauses { core, .. } => core.p = core.p.clone().negated(),
            claim => panic!("six atoms are enough: {claim:?}"),
        }
        let verdict = check(&rho, &wrong).unwrap_err();
        let expected = match found.steps[i].claim {
            Claim::Equal { .. } | Claim::SameFraction { .. } => Wrong::Unequal(i),
            Claim::Rows { .. } => Wrong::Rows(i),
            Claim::Clauses { .. } => Wrong::Clauses(i),
            _ => panic!("six atoms are enough"),
        };
        assert_eq!(verdict, expected, "{}", found.steps[i]);
        // A step left out leaves a gap, unless it is the last.
        let mut missing = found.clone();
        missing.steps.remove(i);
        assert!(check(&rho, &missing).is_err());
    }
    let mut other = found.clone();
    other.structure.loses = other.structure.wins;
    assert_eq!(check(&rho, &other), Err(Wrong::Result));
    assert_eq!(check(&b.logp("w"), &found), Err(Wrong::Gap(0)));
}

fn rows(n: usize) -> impl Strategy<Value = Table> {
    any::<u64>().prop_map(move |bits| Table(bits) & Table::full(n))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn four_atom_structures_come_back(w in rows(4), l in rows(4)) {
        let structure = Structure::from_rows(quad(), w, l).unwrap();
        prop_assume!(structure.validate().is_ok() && w != l);
        let rho = compiled(&structure);
        let found = decompile_over(&rho, &quad()).unwrap();
        prop_assert_eq!(check(&rho, &found), Ok(()));
        prop_assert_eq!(&found.structure, &structure.canonical());
        let before = found.written.unwrap();
        prop_assert_eq!(before.over(&quad()), Some(structure));
    }
}
