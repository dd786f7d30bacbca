//! The atoms of two structures, made ready to be compared.
//!
//! In: two structures in one set of names, with the values of their constants. Out: the same structures
//! in which equal atoms are equal predictions of equal weight, and different atoms have different
//! names. Invariant: the rho of each is unchanged at the given parameters.

use ponens_compiler::decompile::{BinaryOp, Expr, ExprKind, UnaryOp};
use ponens_compiler::logic::{Atom, AtomKind, MAX_ATOMS, Structure, Table};

/// A structure with its constant atoms and the |c| of their weights e^-|c|.
pub(super) struct Valued {
    pub(super) structure: Structure,
    pub(super) constants: Vec<(Atom, f64)>,
}

/// The value of a constant at given parameters; `None` where it is not made of them.
pub(super) fn value(e: &Expr, params: &[(&str, f64)]) -> Option<f64> {
    let x = match &e.kind {
        ExprKind::Number(r) => r.to_f64(),
        ExprKind::Symbol { name, .. } => params.iter().find(|(n, _)| n == name)?.1,
        ExprKind::Unary(op, a) => {
            let a = value(a, params)?;
            match op {
                UnaryOp::Neg => -a,
                UnaryOp::Exp => a.exp(),
                UnaryOp::Log => a.ln(),
                UnaryOp::Log1p => a.ln_1p(),
                UnaryOp::Expm1 => a.exp_m1(),
                _ => return None,
            }
        }
        ExprKind::Binary(op, a, b) => {
            let (a, b) = (value(a, params)?, value(b, params)?);
            match op {
                BinaryOp::Add => a + b,
                BinaryOp::Sub => a - b,
                BinaryOp::Mul => a * b,
                BinaryOp::Div => a / b,
                BinaryOp::Pow => a.powf(b),
            }
        }
        _ => return None,
    };
    x.is_finite().then_some(x)
}

/// Both structures with constants of equal value in one atom. Where each has one constant and they
/// differ, the larger |c| becomes the smaller one and a second atom for the rest, because
/// e^-(c + d) = e^-c e^-d: so the order of the two numbers counts in the comparison.
pub(super) fn with_constants(a: Valued, b: Valued) -> (Structure, Structure) {
    let (a, b) = (without_zeros(a), without_zeros(b));
    match (a.constants.as_slice(), b.constants.as_slice()) {
        ([(p, x)], [(q, y)]) if x == y => {
            let (p, q) = (p.clone(), q.clone());
            let renamed = renamed(b.structure, |k| if *k == q { p.clone() } else { k.clone() });
            (a.structure, renamed)
        }
        ([(p, x)], [(q, y)]) if x != y => {
            let text = |z: f64| crate::number::to_text(z);
            let least = Atom::constant(&text(x.min(*y)));
            let rest = Atom::constant(&format!("{} - {}", text(x.max(*y)), text(x.min(*y))));
            let split = |s: &Structure, old: &Atom, larger: bool| {
                let plain =
                    renamed(s.clone(), |k| if k == old { least.clone() } else { k.clone() });
                if larger { joined(&plain, &least, &rest) } else { Some(plain) }
            };
            match (split(&a.structure, p, x > y), split(&b.structure, q, y > x)) {
                (Some(a), Some(b)) => (a, b),
                _ => by_value(a, b),
            }
        }
        _ => by_value(a, b),
    }
}

/// The structure without the constants that are 0, whose weight is 1.
fn without_zeros(v: Valued) -> Valued {
    let n = v.structure.n();
    let is_zero = |a: &Atom| v.constants.iter().any(|(c, x)| c == a && *x == 0.0);
    let (mut wins, mut loses, mut kept) = (v.structure.wins, v.structure.loses, 0);
    for (i, atom) in v.structure.atoms.iter().enumerate() {
        if is_zero(atom) {
            (wins, loses) = (wins.cofactor(i, true, n), loses.cofactor(i, true, n));
        } else {
            kept |= 1 << i;
        }
    }
    let atoms = v.structure.atoms.iter().filter(|a| !is_zero(a)).cloned().collect();
    let structure = Structure { atoms, wins: wins.restrict(kept), loses: loses.restrict(kept) };
    let constants = v.constants.iter().filter(|(_, x)| *x != 0.0).cloned().collect();
    Valued { structure, constants }
}

/// Every constant atom named after its value.
fn by_value(a: Valued, b: Valued) -> (Structure, Structure) {
    let named = |v: Valued| {
        renamed(v.structure.clone(), |k| match v.constants.iter().find(|(c, _)| c == k) {
            Some((_, x)) => Atom::constant(&crate::number::to_text(*x)),
            None => k.clone(),
        })
    };
    // A structure with two constants of one value keeps both: they are different events.
    let distinct = |v: &Valued| {
        v.constants
            .iter()
            .enumerate()
            .all(|(i, (_, x))| v.constants[..i].iter().all(|(_, y)| x != y))
    };
    if distinct(&a) && distinct(&b) { (named(a), named(b)) } else { (a.structure, b.structure) }
}

fn renamed(s: Structure, name: impl Fn(&Atom) -> Atom) -> Structure {
    Structure { atoms: s.atoms.iter().map(name).collect(), ..s }
}

/// The structure with `atom & more` in the place of `atom`.
fn joined(s: &Structure, atom: &Atom, more: &Atom) -> Option<Structure> {
    let place = s.atoms.iter().position(|a| a == atom)?;
    let n = s.atoms.len() + 1;
    if n > MAX_ATOMS {
        return None;
    }
    let mut atoms = s.atoms.clone();
    atoms.push(more.clone());
    let old = |row: usize| {
        let without = row & !(1 << place) & !(1 << (n - 1));
        let both = row >> place & 1 == 1 && row >> (n - 1) & 1 == 1;
        without | usize::from(both) << place
    };
    let table = |t: Table| Table::of_rows((0..1usize << n).filter(|r| t.get(old(*r))), n);
    Structure::from_rows(atoms, table(s.wins), table(s.loses)).ok()
}

/// Names a sum and a mean apart where both occur: they are different atoms. True where that was
/// necessary.
pub(super) fn tell_apart(a: &mut Structure, b: &mut Structure) -> bool {
    let all: Vec<Atom> = a.union(b);
    let is_clash = |atom: &Atom| all.iter().any(|o| o.name == atom.name && o.kind != atom.kind);
    let name = |atom: &Atom| match &atom.kind {
        AtomKind::Response { mean, .. } if is_clash(atom) => {
            let how = if *mean { "mean" } else { "sum" };
            Atom { name: format!("{}[{how}]", atom.name), kind: atom.kind.clone() }
        }
        _ => atom.clone(),
    };
    let (x, y) = (renamed(a.clone(), name), renamed(b.clone(), name));
    let changed = x != *a || y != *b;
    (*a, *b) = (x, y);
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use ponens_compiler::relate::{Order, compare};

    /// log(w / l) - c
    fn margin(text: &str, c: f64) -> Valued {
        let atoms =
            vec![Atom::response("pi", "w"), Atom::response("pi", "l"), Atom::constant(text)];
        let wins = Table::var(0, 3) & Table::var(2, 3);
        let structure = Structure::from_rows(atoms, wins, Table::var(1, 3)).expect("three atoms");
        Valued { constants: vec![(structure.atoms[2].clone(), c)], structure }
    }

    #[test]
    fn a_larger_margin_entails_a_smaller_one() {
        let order = |x: f64, y: f64| {
            let (a, b) = with_constants(margin("gamma / beta", x), margin("gamma / beta", y));
            compare(&a, &b).order
        };
        assert_eq!(order(0.25, 0.25), Order::Equal);
        assert_eq!(order(0.5, 0.25), Order::Entails);
        assert_eq!(order(0.25, 0.5), Order::EntailedBy);
        assert_eq!(order(0.0, 0.0), Order::Equal);
        assert_eq!(order(0.0, 0.5), Order::EntailedBy);
    }

    #[test]
    fn equal_values_under_different_names_are_one_atom() {
        let (a, b) = with_constants(margin("gamma / beta", 0.25), margin("m", 0.25));
        assert!(compare(&a, &b).structure_equal);
    }

    #[test]
    fn sums_and_means_get_different_names() {
        let pair = |mean| {
            let atom = |r| Atom::aggregated("pi", r, mean);
            let atoms = vec![atom("w"), atom("l")];
            Structure::from_rows(atoms, Table::var(0, 2), Table::var(1, 2)).expect("two atoms")
        };
        let (mut a, mut b) = (pair(false), pair(true));
        assert!(tell_apart(&mut a, &mut b));
        assert_eq!(
            (a.atoms[0].name.as_str(), b.atoms[0].name.as_str()),
            ("pi(w)[sum]", "pi(w)[mean]")
        );
        assert!(!tell_apart(&mut pair(true), &mut pair(true)));
    }
}
