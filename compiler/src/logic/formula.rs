//! Formulas over numbered atoms, and their text in the loss language.

use super::Table;
use std::fmt;

/// A propositional formula over the atoms of a structure, by index.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Formula {
    /// `true`
    True,
    /// `false`
    False,
    /// An atom.
    Atom(usize),
    /// `!a`
    Not(Box<Formula>),
    /// `a & b & ..`; true when empty
    And(Vec<Formula>),
    /// `a | b | ..`; false when empty
    Or(Vec<Formula>),
    /// `a -> b`
    Implies(Box<Formula>, Box<Formula>),
    /// `a <-> b`
    Iff(Box<Formula>, Box<Formula>),
    /// `a xor b`
    Xor(Box<Formula>, Box<Formula>),
}

impl Formula {
    /// `!self`
    #[must_use]
    pub fn negated(self) -> Formula {
        Formula::Not(Box::new(self))
    }

    /// `self -> other`
    #[must_use]
    pub fn implies(self, other: Formula) -> Formula {
        Formula::Implies(Box::new(self), Box::new(other))
    }

    /// `self <-> other`
    #[must_use]
    pub fn iff(self, other: Formula) -> Formula {
        Formula::Iff(Box::new(self), Box::new(other))
    }

    /// `self xor other`
    #[must_use]
    pub fn xor(self, other: Formula) -> Formula {
        Formula::Xor(Box::new(self), Box::new(other))
    }

    /// Its truth table over `n` atoms. An atom that is not below `n` is false.
    pub fn table(&self, n: usize) -> Table {
        match self {
            Formula::True => Table::full(n),
            Formula::False => Table::FALSE,
            Formula::Atom(i) => Table::var(*i, n),
            Formula::Not(a) => a.table(n).not(n),
            Formula::And(args) => args.iter().fold(Table::full(n), |t, a| t & a.table(n)),
            Formula::Or(args) => args.iter().fold(Table::FALSE, |t, a| t | a.table(n)),
            Formula::Implies(a, b) => a.table(n).implies(b.table(n), n),
            Formula::Iff(a, b) => a.table(n).iff(b.table(n), n),
            Formula::Xor(a, b) => a.table(n) ^ b.table(n),
        }
    }

    /// The same formula with atom `i` called `map[i]`; an atom past the end keeps its number.
    #[must_use]
    pub fn renamed(&self, map: &[usize]) -> Formula {
        let both = |a: &Formula, b: &Formula| (Box::new(a.renamed(map)), Box::new(b.renamed(map)));
        let all = |args: &[Formula]| args.iter().map(|a| a.renamed(map)).collect();
        match self {
            Formula::True | Formula::False => self.clone(),
            Formula::Atom(i) => Formula::Atom(map.get(*i).copied().unwrap_or(*i)),
            Formula::Not(a) => a.renamed(map).negated(),
            Formula::And(args) => Formula::And(all(args)),
            Formula::Or(args) => Formula::Or(all(args)),
            Formula::Implies(a, b) => {
                let (a, b) = both(a, b);
                Formula::Implies(a, b)
            }
            Formula::Iff(a, b) => {
                let (a, b) = both(a, b);
                Formula::Iff(a, b)
            }
            Formula::Xor(a, b) => {
                let (a, b) = both(a, b);
                Formula::Xor(a, b)
            }
        }
    }

    /// Its atoms in the order in which the text names them, repetitions included.
    pub fn leaves(&self) -> Vec<usize> {
        let mut out = Vec::new();
        self.collect_leaves(&mut out);
        out
    }

    fn collect_leaves(&self, out: &mut Vec<usize>) {
        match self {
            Formula::True | Formula::False => {}
            Formula::Atom(i) => out.push(*i),
            Formula::Not(a) => a.collect_leaves(out),
            Formula::And(args) | Formula::Or(args) => {
                args.iter().for_each(|a| a.collect_leaves(out));
            }
            Formula::Implies(a, b) | Formula::Iff(a, b) | Formula::Xor(a, b) => {
                a.collect_leaves(out);
                b.collect_leaves(out);
            }
        }
    }

    /// Its text with atom `i` called `names[i]` (`a0`, `a1`, ... past the end), in the loss language,
    /// with as few parentheses as its precedences allow: `<->` loosest, then `->` (to the right),
    /// `xor`, `|`, `&`, `!`.
    pub fn shown<'a, S: AsRef<str>>(&'a self, names: &'a [S]) -> Shown<'a, S> {
        Shown { formula: self, names }
    }

    fn precedence(&self) -> u8 {
        match self {
            Formula::Iff(..) => 0,
            Formula::Implies(..) => 1,
            Formula::Xor(..) => 2,
            Formula::Or(args) if args.len() > 1 => 3,
            Formula::And(args) if args.len() > 1 => 4,
            Formula::And(args) | Formula::Or(args) => args.first().map_or(6, Formula::precedence),
            Formula::Not(_) => 5,
            Formula::True | Formula::False | Formula::Atom(_) => 6,
        }
    }
}

/// A formula with the names of its atoms, for printing.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a, S> {
    formula: &'a Formula,
    names: &'a [S],
}

impl<S: AsRef<str>> Shown<'_, S> {
    fn write(&self, f: &mut fmt::Formatter<'_>, formula: &Formula, at_least: u8) -> fmt::Result {
        let level = formula.precedence();
        if level < at_least {
            f.write_str("(")?;
            self.write(f, formula, 0)?;
            return f.write_str(")");
        }
        match formula {
            Formula::True => f.write_str("true"),
            Formula::False => f.write_str("false"),
            Formula::Atom(i) => match self.names.get(*i) {
                Some(name) => f.write_str(name.as_ref()),
                None => write!(f, "a{i}"),
            },
            Formula::Not(a) => {
                f.write_str("!")?;
                self.write(f, a, level)
            }
            Formula::And(args) => self.write_all(f, args, " & ", "true", level),
            Formula::Or(args) => self.write_all(f, args, " | ", "false", level),
            Formula::Implies(a, b) => self.write_pair(f, (a, level + 1), " -> ", (b, level)),
            Formula::Iff(a, b) => self.write_pair(f, (a, level), " <-> ", (b, level + 1)),
            Formula::Xor(a, b) => self.write_pair(f, (a, level), " xor ", (b, level + 1)),
        }
    }

    fn write_pair(
        &self,
        f: &mut fmt::Formatter<'_>,
        (a, a_level): (&Formula, u8),
        operator: &str,
        (b, b_level): (&Formula, u8),
    ) -> fmt::Result {
        self.write(f, a, a_level)?;
        f.write_str(operator)?;
        self.write(f, b, b_level)
    }

    fn write_all(
        &self,
        f: &mut fmt::Formatter<'_>,
        args: &[Formula],
        operator: &str,
        empty: &str,
        level: u8,
    ) -> fmt::Result {
        match args {
            [] => f.write_str(empty),
            [one] => self.write(f, one, level),
            [first, rest @ ..] => {
                self.write(f, first, level)?;
                for arg in rest {
                    f.write_str(operator)?;
                    // A nested list of the same operator keeps its shape when read back.
                    self.write(f, arg, level + 1)?;
                }
                Ok(())
            }
        }
    }
}

impl<S: AsRef<str>> fmt::Display for Shown<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, self.formula, 0)
    }
}
