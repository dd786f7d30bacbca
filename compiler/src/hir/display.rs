//! Expressions of the HIR as readable text, in the syntax of the loss language.

use super::model::*;

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
            Kind::Column(c) => (self.columns[c].name().replace(',', ", "), Atom),
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
        }
    }

    fn condition(&self, id: ExprId) -> String {
        match (self.expr(id).kind, &self.shape) {
            (Kind::Column(_), DataShape::Labelled { label, .. }) => label.clone(),
            _ => self.display(id),
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
