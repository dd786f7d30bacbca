//! Expressions of the HIR as readable text, in the syntax of the loss language.

use super::model::*;
use super::quantity::Quantity;
use crate::mir::Level;

/// How tightly an expression binds, loosest first.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Binding {
    Sum,
    Product,
    Prefix,
    Power,
    Atom,
}

impl Loss {
    /// An expression as text, `let`s unfolded and atoms as probabilities.
    pub fn display(&self, id: ExprId) -> String {
        self.render(id).0
    }

    fn at_least(&self, id: ExprId, want: Binding) -> String {
        let (text, binding) = self.render(id);
        if binding < want { format!("({text})") } else { text }
    }

    fn render(&self, id: ExprId) -> (String, Binding) {
        use Binding::*;
        let call = |name: &str, args: &[ExprId]| {
            let list: Vec<String> = args.iter().map(|a| self.display(*a)).collect();
            (format!("{name}({})", list.join(", ")), Atom)
        };
        match self.expr(id).kind {
            Kind::Number(x) => (format!("{x}"), Atom),
            Kind::Param(p) => (self.params[p].name.clone(), Atom),
            Kind::Column(c) => (self.column_text(c), Atom),
            Kind::Probability(a) => (self.atoms[a].atom.name.clone(), Atom),
            Kind::Rho => ("rho".to_owned(), Atom),
            Kind::Call1(Fn1::Neg, a) => (format!("-{}", self.at_least(a, Prefix)), Prefix),
            Kind::Call1(f, a) => call(name1(f), &[a]),
            Kind::Call2(f, a, b) => match f {
                Fn2::Add => self.infix("+", a, b, Sum, Sum),
                Fn2::Sub => self.infix("-", a, b, Sum, Product),
                Fn2::Mul => self.infix("*", a, b, Product, Product),
                Fn2::Div => self.infix("/", a, b, Product, Prefix),
                Fn2::Pow => {
                    let t = format!("{}^{}", self.at_least(a, Atom), self.at_least(b, Prefix));
                    (t, Power)
                }
                Fn2::Max => call("max", &[a, b]),
                Fn2::Min => call("min", &[a, b]),
                Fn2::LogAddExp => call("logaddexp", &[a, b]),
            },
            Kind::If(c, a, b) => {
                let (c, a, b) = (self.condition(c), self.display(a), self.display(b));
                (format!("if {c} {{ {a} }} else {{ {b} }}"), Sum)
            }
            Kind::Link(l, x, extra) => {
                let args: Vec<ExprId> = [Some(x), extra].into_iter().flatten().collect();
                call(&l.to_string(), &args)
            }
            Kind::Noise(Noise::Smooth, e, f, _) => call("smooth", &[e, f]),
            Kind::Noise(Noise::Debias, e, f, _) => call("debias", &[e, f]),
            Kind::Batch(BatchFn::Mean, x) => call("batch_mean", &[x]),
            Kind::Batch(BatchFn::Sum, x) => call("batch_sum", &[x]),
            Kind::Batch(BatchFn::Sort, x) => call("batch_sort", &[x]),
            Kind::Fold(f, x, _) => {
                let name = match f {
                    Fold::Sum => "sum",
                    Fold::Mean => "mean",
                    Fold::Max => "max",
                    Fold::LogSumExp => "logsumexp",
                };
                let index = index_name(self.expr(x).level);
                (format!("{name}({index}) {}", self.at_least(x, Atom)), Atom)
            }
            Kind::Scan(Scan::Shift(n), x) => {
                let way = if n < 0 { "earlier" } else { "later" };
                (format!("{way}({}, {})", self.display(x), n.unsigned_abs()), Atom)
            }
            Kind::Scan(Scan::SuffixSum, x) => call("suffix_sum", &[x]),
            Kind::Scan(Scan::PrefixSum, x) => call("prefix_sum", &[x]),
            Kind::Scan(Scan::LogSumExps(d), x) => call(&format!("{d}_logsumexp"), &[x]),
            Kind::Recurrence(_, a, x) => call("discounted", &[a, x]),
            Kind::Position(l) => (index_name(l.level()).to_owned(), Atom),
            Kind::Size(Loop::Candidates) => {
                (self.shape.family().map_or_else(|| "K".to_owned(), |f| f.size.clone()), Atom)
            }
            Kind::Size(Loop::Tokens(r)) => {
                (format!("len({})", self.shape.responses().get(r).copied().unwrap_or("y")), Atom)
            }
        }
    }

    /// A column with the indices that it is read at: `token_logp(pi, y[i])[t]`.
    fn column_text(&self, c: usize) -> String {
        let column = &self.columns[c];
        let name = column.name().replace(',', ", ");
        let indexed = match (self.shape.family(), column.of) {
            (Some(f), Some(_)) => {
                let bare = format!("{})", f.response);
                match name.strip_suffix(&bare) {
                    Some(head) => format!("{head}{}[i])", f.response),
                    None => format!("{name}[i]"),
                }
            }
            _ => name,
        };
        if column.level == Level::Token { format!("{indexed}[t]") } else { indexed }
    }

    fn condition(&self, id: ExprId) -> String {
        match (self.expr(id).kind, &self.shape) {
            (Kind::Column(c), DataShape::Labelled { label, .. })
                if matches!(self.columns[c].quantity, Quantity::Label { .. }) =>
            {
                label.clone()
            }
            (Kind::Call2(Fn2::Sub, a, b), _) => {
                format!("{} > {}", self.at_least(a, Binding::Sum), self.at_least(b, Binding::Sum))
            }
            _ => format!("{} > 0", self.display(id)),
        }
    }

    fn infix(
        &self,
        op: &str,
        a: ExprId,
        b: ExprId,
        own: Binding,
        right: Binding,
    ) -> (String, Binding) {
        (format!("{} {op} {}", self.at_least(a, own), self.at_least(b, right)), own)
    }
}

/// What the index of a level is called.
fn index_name(level: Level) -> &'static str {
    if level == Level::Token { "t" } else { "i" }
}

fn name1(f: Fn1) -> &'static str {
    match f {
        Fn1::Neg => "-",
        Fn1::Exp => "exp",
        Fn1::Log => "log",
        Fn1::Log1p => "log1p",
        Fn1::Expm1 => "expm1",
        Fn1::Log1mExp => "log1mexp",
        Fn1::Softplus => "softplus",
        Fn1::Sigmoid => "sigmoid",
        Fn1::LogSigmoid => "log_sigmoid",
        Fn1::Square => "square",
        Fn1::Abs => "abs",
        Fn1::StopGradient => "stop_gradient",
    }
}
