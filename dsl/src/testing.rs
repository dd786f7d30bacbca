//! Strategies that generate syntax trees, for property tests of this crate and of others.
//!
//! Out: trees that some text stands for, without spans. They need not mean anything: names are not
//! bound, formulas and numbers are mixed.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::ast::{
    BinaryOp, Clause, Comment, CompareOp, Data, DataArg, Expr, ExprKind, File, Function, Import,
    Item, Loss, Model, ModelOption, Name, Param, Range, UnaryOp, Variant,
};
use crate::parse::{REDUCERS, RESERVED};
use crate::print;
use crate::span::Span;

/// A name without a place.
pub fn name(text: impl Into<String>) -> Name {
    Name { text: text.into(), span: Span::default() }
}

/// An expression without a place.
pub fn expr(kind: ExprKind) -> Expr {
    Expr { kind, span: Span::default() }
}

/// Identifiers, among them the words that are special in some places only.
pub fn any_ident() -> impl Strategy<Value = String> {
    let special = ["rho", "pi", "ref", "inf", "len", "link", "and", "not", "e1"];
    prop_oneof![
        3 => "[a-zA-Z_][a-zA-Z0-9_]{0,5}".prop_filter("reserved", |w| !RESERVED.contains(&&**w)),
        2 => proptest::sample::select(special.to_vec()).prop_map(str::to_owned),
        1 => proptest::sample::select(REDUCERS.to_vec()).prop_map(str::to_owned),
    ]
}

/// Identifiers and dotted names.
pub fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => any_ident(),
        1 => (any_ident(), "[a-zA-Z_][a-zA-Z0-9_]{0,3}").prop_map(|(a, b)| format!("{a}.{b}")),
    ]
}

/// Numbers that a text can hold: finite, not negative.
pub fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        2 => (0u32..100_000).prop_map(|n| f64::from(n) / 1000.0),
        1 => any::<f64>().prop_filter("finite", |x| x.is_finite()).prop_map(f64::abs),
        1 => Just(f64::MAX),
        1 => Just(5e-324),
    ]
}

/// Comparisons.
pub fn any_compare() -> impl Strategy<Value = CompareOp> {
    proptest::sample::select(vec![CompareOp::Lt, CompareOp::Le, CompareOp::Gt, CompareOp::Ge])
}

/// Infix operators.
pub fn any_binary_op() -> impl Strategy<Value = BinaryOp> {
    use BinaryOp::{Add, And, Div, Iff, Implies, Mul, Or, Pow, Sub, Xor};
    let plain = vec![Iff, Implies, Xor, Or, And, Add, Sub, Mul, Div, Pow];
    prop_oneof![
        5 => proptest::sample::select(plain),
        1 => any_compare().prop_map(BinaryOp::Compare),
    ]
}

/// Expressions and formulas of up to `depth` levels.
pub fn any_expr(depth: u32) -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        any_number().prop_map(ExprKind::Number),
        any::<bool>().prop_map(ExprKind::Bool),
        any_name().prop_map(ExprKind::Name),
    ];
    leaf.prop_map(expr).prop_recursive(depth, 40, 3, |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        let op = prop_oneof![Just(UnaryOp::Neg), Just(UnaryOp::Not)];
        let reducer = proptest::sample::select(REDUCERS.to_vec());
        prop_oneof![
            2 => (any_name(), vec(inner, 0..4))
                .prop_map(|(f, args)| ExprKind::Call { callee: name(f), args }),
            1 => (boxed.clone(), boxed.clone())
                .prop_map(|(base, index)| ExprKind::Index { base, index }),
            2 => (op, boxed.clone()).prop_map(|(op, operand)| ExprKind::Unary { op, operand }),
            5 => (any_binary_op(), boxed.clone(), boxed.clone())
                .prop_map(|(op, lhs, rhs)| ExprKind::Binary { op, lhs, rhs }),
            1 => (boxed.clone(), boxed.clone(), boxed.clone())
                .prop_map(|(cond, then, otherwise)| ExprKind::If { cond, then, otherwise }),
            2 => (reducer, any_ident(), option::of((any_compare(), boxed.clone())), boxed).prop_map(
                |(op, var, bound, body)| ExprKind::Reduce { op: name(op), var: name(var), bound, body }
            ),
        ]
        .prop_map(expr)
    })
}

/// Ranges of parameters and columns.
pub fn any_range() -> impl Strategy<Value = Range> {
    let end = prop_oneof![
        2 => (any_number(), any::<bool>()).prop_map(|(x, minus)| if minus { -x } else { x }),
        1 => Just(f64::INFINITY),
        1 => Just(f64::NEG_INFINITY),
    ];
    (end.clone(), any::<bool>(), end, any::<bool>()).prop_map(|(lo, lo_closed, hi, hi_closed)| {
        Range { lo, lo_closed, hi, hi_closed, span: Span::default() }
    })
}

fn any_data_arg() -> impl Strategy<Value = DataArg> {
    prop_oneof![
        any_ident().prop_map(|a| DataArg::Plain(name(a))),
        (any_ident(), any_ident()).prop_map(|(a, b)| DataArg::Ordered(name(a), name(b))),
        (any_ident(), any_ident()).prop_map(|(a, b)| DataArg::Family(name(a), name(b))),
    ]
}

fn any_model_option() -> impl Strategy<Value = ModelOption> {
    (any_ident(), any_expr(2)).prop_map(|(key, value)| ModelOption { key: name(key), value })
}

/// Clauses of every kind, with expressions of up to `depth` levels.
pub fn any_clause(depth: u32) -> impl Strategy<Value = Clause> {
    let span = Span::default();
    let value = move || any_expr(depth);
    let simple = (0..5usize, value()).prop_map(move |(kind, e)| match kind {
        0 => Clause::Rho { value: e, span },
        1 => Clause::Prefer { formula: e, span },
        2 => Clause::Given { formula: e, span },
        3 => Clause::Tie { formula: e, span },
        _ => Clause::Minimize { value: e, span },
    });
    prop_oneof![
        1 => (any_ident(), vec(any_data_arg(), 0..4)).prop_map(move |(shape, args)| {
            Clause::Data(Data { shape: name(shape), args, span })
        }),
        1 => (any_ident(), any_ident(), vec(any_model_option(), 0..3)).prop_map(move |(n, role, options)| {
            Clause::Model(Model { name: name(n), role: name(role), options, span })
        }),
        1 => (any_ident(), option::of(any_ident()), option::of(any_range())).prop_map(
            move |(n, of, range)| Clause::Column { name: name(n), of: of.map(name), range, span }
        ),
        1 => (any_ident(), vec(any_ident(), 0..3), value()).prop_map(move |(n, indices, value)| {
            let indices = indices.into_iter().map(name).collect();
            Clause::Let { name: name(n), indices, value, span }
        }),
        3 => simple,
    ]
}

fn any_docs() -> impl Strategy<Value = Vec<String>> {
    vec("[ -~é]{0,30}".prop_map(|line| line.trim_end().to_owned()), 0..3)
}

fn any_param() -> impl Strategy<Value = Param> {
    (any_ident(), option::of(any_expr(2)), option::of(any_range())).prop_map(
        |(n, default, range)| Param { name: name(n), default, range, span: Span::default() },
    )
}

/// Losses with expressions of up to `depth` levels.
pub fn any_loss(depth: u32) -> impl Strategy<Value = Loss> {
    let params = vec(any_param(), 0..4);
    (any_docs(), any_name(), params, vec(any_clause(depth), 0..6)).prop_map(
        |(docs, n, params, clauses)| Loss {
            docs,
            name: name(n),
            params,
            clauses,
            span: Span::default(),
        },
    )
}

/// Items of every kind with expressions of up to `depth` levels.
pub fn any_item(depth: u32) -> impl Strategy<Value = Item> {
    let span = Span::default();
    let change = (any_ident(), any_expr(depth)).prop_map(|(key, value)| (name(key), value));
    let variant = (any_docs(), any_name(), any_name(), vec(change, 0..4)).prop_map(
        move |(docs, n, base, overrides)| {
            Item::Variant(Variant { docs, name: name(n), base: name(base), overrides, span })
        },
    );
    let function = (any_docs(), any_name(), vec(any_ident(), 0..4), any_expr(depth)).prop_map(
        move |(docs, n, args, body)| {
            let args = args.into_iter().map(name).collect();
            Item::Function(Function { docs, name: name(n), args, body, span })
        },
    );
    prop_oneof![2 => any_loss(depth).prop_map(Item::Loss), 1 => variant, 1 => function]
}

/// Files with comments in all places, with expressions of up to `depth` levels.
pub fn any_file(depth: u32) -> impl Strategy<Value = File> {
    let span = Span::default();
    let import = "[a-z./]{1,8}".prop_map(move |path| Import { path, span });
    let edition = option::of(Just((2026, span)));
    let text = "[ -~é]{0,20}".prop_map(|text| format!("// {text}").trim_end().to_owned());
    let comments = vec((any::<prop::sample::Index>(), text, any::<bool>(), any::<bool>()), 0..8);
    (edition, vec(import, 0..3), vec(any_item(depth), 0..4), comments).prop_map(
        |(edition, imports, items, drafts)| {
            let mut file = File { edition, imports, items, comments: Vec::new() };
            let (words, behind_docs) = words(&file);
            file.comments = drafts
                .into_iter()
                .map(|(place, text, own_line, blank_after)| Comment {
                    text,
                    word: place.index(words + 1),
                    own_line,
                    blank_after,
                    span: Span::default(),
                })
                .collect();
            file.comments.sort_by_key(|c| c.word);
            settle(&mut file.comments, words, &behind_docs);
            file
        },
    )
}

/// How many words a file has, and at which of them the line before is documentation.
fn words(file: &File) -> (usize, Vec<usize>) {
    let mut words = 2 * (usize::from(file.edition.is_some()) + file.imports.len());
    let mut behind_docs = Vec::new();
    for item in &file.items {
        let docs = match item {
            Item::Loss(loss) => &loss.docs,
            Item::Variant(variant) => &variant.docs,
            Item::Function(function) => &function.docs,
        };
        behind_docs.extend((1..=docs.len()).map(|line| words + line));
        words += print::words(item);
    }
    (words, behind_docs)
}

/// Makes comments such as a text can hold: what ends its line has nothing behind it.
fn settle(comments: &mut [Comment], words: usize, behind_docs: &[usize]) {
    let count = comments.len();
    let mut previous = None;
    for (i, comment) in comments.iter_mut().enumerate() {
        let line_ended = previous == Some(comment.word) || behind_docs.contains(&comment.word);
        comment.own_line |= comment.word == 0 || line_ended;
        let last = i + 1 == count && comment.word == words;
        comment.blank_after &= comment.own_line && !last;
        previous = Some(comment.word);
    }
}
