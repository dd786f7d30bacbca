//! Every construct of the language parses into the tree that it stands for.

use ponens_dsl::ast::{BinaryOp, Clause, CompareOp, DataArg, ExprKind, File, Item, UnaryOp};
use ponens_dsl::diagnostic::to_text;
use ponens_dsl::{SourceMap, parse, parse_expr, print};

fn read(text: &str) -> File {
    let mut sources = SourceMap::default();
    let file = sources.add("test.loss", text);
    let (tree, diagnostics) = parse(&sources, file);
    assert!(diagnostics.is_empty(), "{diagnostics:#?}");
    tree
}

/// The tree of an expression as fully bracketed text.
fn shape(text: &str) -> String {
    let mut sources = SourceMap::default();
    let file = sources.add("<expr>", text);
    bracketed(&parse_expr(&sources, file).unwrap_or_else(|d| panic!("{text}: {d:#?}")).kind)
}

fn bracketed(kind: &ExprKind) -> String {
    match kind {
        ExprKind::Number(x) => x.to_string(),
        ExprKind::Bool(b) => b.to_string(),
        ExprKind::Name(name) => name.clone(),
        ExprKind::Call { callee, args } => {
            let args: Vec<String> = args.iter().map(|a| bracketed(&a.kind)).collect();
            format!("{}({})", callee.text, args.join(", "))
        }
        ExprKind::Index { base, index } => {
            format!("{}[{}]", bracketed(&base.kind), bracketed(&index.kind))
        }
        ExprKind::Unary { op, operand } => format!("({}{})", op.symbol(), bracketed(&operand.kind)),
        ExprKind::Binary { op, lhs, rhs } => {
            format!("({} {} {})", bracketed(&lhs.kind), op.symbol(), bracketed(&rhs.kind))
        }
        ExprKind::If { cond, then, otherwise } => format!(
            "if {} {{ {} }} else {{ {} }}",
            bracketed(&cond.kind),
            bracketed(&then.kind),
            bracketed(&otherwise.kind)
        ),
        ExprKind::Reduce { op, var, bound, body } => {
            let bound = match bound {
                Some((cmp, e)) => format!(" {} {}", cmp.symbol(), bracketed(&e.kind)),
                None => String::new(),
            };
            format!("<{} {}{bound}: {}>", op.text, var.text, bracketed(&body.kind))
        }
    }
}

#[test]
fn the_language_document_parses() {
    let tree = read(include_str!("inputs/language.loss"));
    assert_eq!(tree.edition.map(|(year, _)| year), Some(2026));
    assert_eq!(tree.imports[0].path, "links.loss");
    let names: Vec<&str> = tree
        .items
        .iter()
        .map(|item| match item {
            Item::Loss(l) => l.name.text.as_str(),
            Item::Variant(v) => v.name.text.as_str(),
            Item::Function(f) => f.name.text.as_str(),
        })
        .collect();
    let expected =
        "dpo dpo_logic orpo kto dpo_pl oreo_policy lattice.CPO slic smoothed log_odds weighted";
    assert_eq!(names.join(" "), expected);

    let Item::Loss(dpo) = &tree.items[0] else { panic!("dpo is a loss") };
    let source = "Direct Preference Optimization (Rafailov et al. 2023, arXiv 2305.18290, eq. 7).";
    assert_eq!(dpo.docs, [source]);
    let range = dpo.params[0].range.as_ref().expect("beta has a range");
    assert_eq!(
        (range.lo, range.lo_closed, range.hi, range.hi_closed),
        (0.0, false, f64::INFINITY, false)
    );
    let Clause::Data(data) = &dpo.clauses[0] else { panic!("data first") };
    assert!(matches!(&data.args[..], [DataArg::Ordered(w, l)] if w.text == "w" && l.text == "l"));
    assert!(matches!(&dpo.clauses[3], Clause::Rho { .. }));
    assert_eq!(dpo.clauses.len(), 5);

    let Item::Loss(orpo) = &tree.items[2] else { panic!("orpo is a loss") };
    let Clause::Model(pi) = &orpo.clauses[1] else { panic!("model second") };
    assert_eq!(
        (pi.options[0].key.text.as_str(), bracketed(&pi.options[0].value.kind)),
        ("aggregate", "mean".into())
    );
    let range = orpo.params[0].range.as_ref().expect("lambda has a range");
    assert!(range.lo_closed && !range.hi_closed);

    let Item::Variant(slic) = &tree.items[7] else { panic!("slic is a variant") };
    assert_eq!((slic.base.text.as_str(), slic.overrides.len()), ("dpo", 2));
    assert_eq!(slic.docs, ["One line a variant."]);
    let Item::Loss(weighted) = &tree.items[10] else { panic!("weighted is a loss") };
    let range = weighted.params[1].range.as_ref().expect("shift has a range");
    assert_eq!((range.lo, range.hi), (f64::NEG_INFINITY, f64::INFINITY));
    let texts: Vec<&str> = tree.comments.iter().map(|c| c.text.as_str()).collect();
    assert_eq!(texts.len(), 9, "{texts:?}");
    assert!(!tree.comments[0].own_line && tree.comments[7].own_line);
}

#[test]
fn ranges_have_a_spelling_with_balanced_brackets() {
    for (dots, brackets) in [
        ("0..0.5", "[0, 0.5)"),
        ("0..=1", "[0, 1]"),
        (">0..inf", "(0, inf)"),
        ("> 0 ..= 1", "(0, 1]"),
        ("-1..1", "[-1, 1)"),
        ("-inf..0", "(-inf, 0)"),
        ("-inf..=inf", "(-inf, inf)"),
    ] {
        let text = |range: &str| {
            format!("loss a(x = 0 in {range}) {{\n    column c in {range}  // kept\n}}\n")
        };
        let mut sources = SourceMap::default();
        let file = sources.add("a.loss", text(dots));
        let (tree, diagnostics) = parse(&sources, file);
        assert!(diagnostics.is_empty(), "{}", to_text(&diagnostics, &sources, false));
        assert_eq!(print::file(&tree), text(brackets));
    }
    for wrong in ["0..", "..1", "0..1..2", "(0..1)", "0.1", ">0", ">(0, 1)"] {
        let mut sources = SourceMap::default();
        let file = sources.add("a.loss", format!("loss a(x = 0 in {wrong}) {{\n}}\n"));
        assert!(!parse(&sources, file).1.is_empty(), "{wrong}");
    }
}

#[test]
fn precedence_follows_the_table() {
    for (text, tree) in [
        ("a <-> b -> c xor d | e & f", "(a <-> (b -> (c xor (d | (e & f)))))"),
        ("a -> b -> c", "(a -> (b -> c))"),
        ("a <-> b <-> c", "((a <-> b) <-> c)"),
        ("!a & b", "((!a) & b)"),
        ("a & b < c + d * e", "(a & (b < (c + (d * e))))"),
        ("a - b - c", "((a - b) - c)"),
        ("-x ^ 2", "(-(x ^ 2))"),
        ("x ^ -y ^ 2 * z", "((x ^ (-(y ^ 2))) * z)"),
        ("2 ^ 3 ^ 4", "(2 ^ (3 ^ 4))"),
        ("--x", "(-(-x))"),
        ("a<-b", "(a < (-b))"),
        ("a<->b", "(a <-> b)"),
        ("(a < b) < c", "((a < b) < c)"),
        ("s[i][j] ^ 2", "(s[i][j] ^ 2)"),
        (
            "if c { a } else if d { b } else { e } - 1",
            "(if c { a } else { if d { b } else { e } } - 1)",
        ),
        ("lattice.CPO(w, .5e1)", "lattice.CPO(w, 5)"),
    ] {
        assert_eq!(shape(text), tree, "{text}");
    }
}

#[test]
fn reductions_are_told_from_calls() {
    for (text, tree) in [
        (
            "sum(i < K - 1) (logsumexp(j >= i) s[j] - s[i])",
            "<sum i < (K - 1): (<logsumexp j >= i: s[j]> - s[i])>",
        ),
        ("mean(t) kl(pi, ref)[t]", "<mean t: kl(pi, ref)[t]>"),
        ("max(a, b)", "max(a, b)"),
        ("sum(d)", "sum(d)"),
        ("sum(d)[t]", "sum(d)[t]"),
        ("sum(i) sum(d)[t]", "<sum i: sum(d)[t]>"),
        ("sum(i) max(j) a * b", "(<sum i: <max j: a>> * b)"),
        ("product(i <= 3) (x)", "<product i <= 3: x>"),
        ("sum + mean", "(sum + mean)"),
        ("sum(i < K) - x", "(sum((i < K)) - x)"),
        ("min(i > 0) if c { a } else { b }", "<min i > 0: if c { a } else { b }>"),
    ] {
        assert_eq!(shape(text), tree, "{text}");
    }
}

#[test]
fn spans_cover_what_they_name() {
    let text =
        "loss a() { data pair(w > l) minimize (x + 1) * -f( y ) /* no */ }".replace("/* no */", "");
    let mut sources = SourceMap::default();
    let file = sources.add("test.loss", text);
    let (tree, _) = parse(&sources, file);
    let Item::Loss(loss) = &tree.items[0] else { panic!("a loss") };
    assert_eq!(sources.slice(loss.clauses[0].span()), "data pair(w > l)");
    assert_eq!(sources.slice(loss.clauses[1].span()), "minimize (x + 1) * -f( y )");
    let Clause::Minimize { value, .. } = &loss.clauses[1] else { panic!("minimize") };
    let ExprKind::Binary { op: BinaryOp::Mul, lhs, rhs } = &value.kind else { panic!("a product") };
    assert_eq!(sources.slice(lhs.span), "(x + 1)");
    assert_eq!(sources.slice(rhs.span), "-f( y )");
    assert!(matches!(&rhs.kind, ExprKind::Unary { op: UnaryOp::Neg, .. }));
    assert_eq!(CompareOp::Le.symbol(), "<=");
}
