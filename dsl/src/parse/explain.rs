//! Refusals in words: what stands there, what could stand there, and how to write it.

mod foreign;
mod structure;

pub(super) use foreign::stray;
pub(super) use structure::{
    bad_reduction, chained, late_import, means_item, misplaced_edition, no_body, too_deep,
    unclosed, unclosed_body, unknown_clause, unknown_edition, unknown_item, unmatched,
};

use pest::error::{Error, ErrorVariant, InputLocation};

use super::piece::{Piece, Rule};
use super::scan::{Kind, Token};
use crate::diagnostic::Diagnostic;
use crate::span::Span;

/// Explains why the grammar refused a piece.
pub(super) fn refusal(piece: &Piece<'_>, error: &Error<Rule>) -> Diagnostic {
    let offset = match error.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
    };
    let at = piece.token_at(offset);
    let found = piece.tokens.get(at);
    let place = found.map_or(piece.end_span(), |t| piece.span(t.start, t.end()));
    let ErrorVariant::ParsingError { positives, .. } = &error.variant else {
        // The only other refusal of the grammar is that the stack is nearly used up.
        return too_deep(place);
    };
    let wanted = Wanted::new(positives);
    let previous = at.checked_sub(1).and_then(|i| piece.tokens.get(i));
    slip(piece, at, previous, found, &wanted, place)
        .unwrap_or_else(|| general(piece, found, &wanted, place))
}

/// What the grammar would have accepted, in the words of the language.
struct Wanted {
    names: Vec<&'static str>,
    expression: bool,
    operator: bool,
}

impl Wanted {
    fn new(positives: &[Rule]) -> Self {
        let mut wanted = Self { names: Vec::new(), expression: false, operator: false };
        for rule in positives {
            let Some(name) = in_words(*rule) else { continue };
            wanted.expression |= name == EXPRESSION;
            wanted.operator |= name == OPERATOR;
            if !wanted.names.contains(&name) {
                wanted.names.push(name);
            }
        }
        // "an expression" says it all; a name or a number is one.
        if wanted.expression {
            wanted.names.retain(|n| !matches!(*n, "a name" | "a number"));
        }
        // A semicolon ends whatever can also go on.
        if wanted.names.len() > 1 {
            wanted.names.retain(|n| *n != "`;`");
        }
        wanted
    }

    fn any(&self, name: &str) -> bool {
        self.names.contains(&name)
    }

    fn phrase(&self) -> String {
        match self.names.as_slice() {
            [] => "something else".to_owned(),
            [only] => (*only).to_owned(),
            [first @ .., last] => format!("{} or {last}", first.join(", ")),
        }
    }
}

const EXPRESSION: &str = "an expression";
const OPERATOR: &str = "an operator";
const NAME: &str = "a name";

fn in_words(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::expr | Rule::term | Rule::atom | Rule::prefix | Rule::choice | Rule::kw_if => {
            EXPRESSION
        }
        Rule::head | Rule::truth | Rule::nested | Rule::named => EXPRESSION,
        Rule::infix | Rule::kw_xor => OPERATOR,
        Rule::name | Rule::ident | Rule::change | Rule::param | Rule::params => NAME,
        Rule::changes | Rule::data_arg => NAME,
        Rule::option => "an option such as `aggregate mean`",
        Rule::number | Rule::bound | Rule::infinity => "a number",
        Rule::year => "a year",
        Rule::quoted | Rule::path => "a path in quotes",
        Rule::range | Rule::lower | Rule::above | Rule::dots => "a range such as `(0, inf)`",
        Rule::upper => "`)` or `]`",
        Rule::minus => return None,
        Rule::default | Rule::equals => "`=`",
        Rule::within | Rule::kw_in => "`in`",
        Rule::over | Rule::greater => "`>`",
        Rule::arguments | Rule::open => "`(`",
        Rule::index | Rule::family | Rule::open_index => "`[`",
        Rule::block | Rule::left => "`{`",
        Rule::close => "`)`",
        Rule::close_index => "`]`",
        Rule::right => "`}`",
        Rule::comma => "`,`",
        Rule::kw_with => "`with`",
        Rule::kw_else => "`else`",
        Rule::semicolon => "`;`",
        // Optional ends say little next to what else could stand there.
        _ => return None,
    })
}

/// How a token is called in a message.
fn called(token: Option<&Token<'_>>) -> String {
    match token {
        Some(t) if t.text.chars().count() > 40 => "this text".to_owned(),
        Some(t) => format!("`{}`", t.text),
        None => "the end".to_owned(),
    }
}

/// The mistakes that have a remedy of their own.
fn slip(
    piece: &Piece<'_>,
    at: usize,
    previous: Option<&Token<'_>>,
    found: Option<&Token<'_>>,
    wanted: &Wanted,
    place: Span,
) -> Option<Diagnostic> {
    let error = |message: String| Diagnostic::error("E0001", message);
    let Some(t) = found else { return ended(piece, previous, wanted, place) };
    if t.is_reserved() && wanted.names.contains(&NAME) && !wanted.operator {
        return Some(reserved(t, place));
    }
    if t.is_reserved() && wanted.expression && !t.starts_operand() {
        return Some(reserved(t, place));
    }
    if t.kind == Kind::Word && t.text.contains('.') && wanted.any(NAME) {
        return Some(
            error(format!("`{}` cannot be bound here: it has a dot", t.text))
                .at(place, "a name of this loss has no dot")
                .help(format!("write `{}`", t.text.replace('.', "_"))),
        );
    }
    if wanted.any("a number")
        && matches!(t.text.to_lowercase().as_str(), "infinity" | "infty" | "oo")
    {
        let found = error(format!("expected a number, found `{}`", t.text));
        return Some(found.at(place, "not a number").help("write `inf`"));
    }
    let p = previous?;
    if t.is("=") && wanted.operator {
        let message = error("`=` binds a name and cannot stand inside an expression".to_owned());
        return Some(message.at(place, "not an operator").help(
            "write `<->` when two formulas are to be equivalent; \
             start a new line with `let name =` to bind a name",
        ));
    }
    if let Some(symbol) = spelled_operator(t.text)
        && wanted.operator
    {
        return Some(
            error(format!("`{}` is not an operator of the language", t.text))
                .at(place, "read as a name")
                .help(format!("write `{symbol}`")),
        );
    }
    if wanted.any("`else`") {
        return Some(
            error("an `if` without `else` has no value when its condition fails".to_owned())
                .at(place, "`else { .. }` belongs here")
                .help("write `if condition { a } else { b }`"),
        );
    }
    if t.starts_operand() && p.ends_operand() && wanted.operator {
        return Some(side_by_side(piece, at, p, t, place));
    }
    None
}

/// Two operands without an operator between them.
fn side_by_side(
    piece: &Piece<'_>,
    at: usize,
    p: &Token<'_>,
    t: &Token<'_>,
    place: Span,
) -> Diagnostic {
    let error = |message: String| Diagnostic::error("E0001", message);
    let both = piece.span(p.start, t.end());
    if p.text == "not" {
        return error("`not` is not an operator of the language".to_owned())
            .at(piece.span(p.start, p.end()), "read as a name")
            .help("write `!`");
    }
    if t.is_name() && piece.tokens.get(at + 1).is_some_and(|n| n.is("=")) {
        return error(format!("a comma is missing before `{}`", t.text))
            .at(place, "a new entry begins here")
            .help(format!("write `, {} = ..`", t.text));
    }
    let message =
        format!("an operator is missing between {} and {}", called(Some(p)), called(Some(t)));
    let found = error(message).at(both, "these stand side by side");
    let (left, right) = (p.text, t.text);
    match p.kind {
        Kind::Word if !p.is_reserved() && t.text != "(" => found.help(format!(
            "to apply `{left}` to `{right}`, write `{left}({right})`; to multiply, `{left} * {right}`"
        )),
        Kind::Number => found.help(format!("to multiply, write `{left} * {right}`")),
        _ => found.help("to multiply, write `*` between them"),
    }
}

/// The piece ends too early.
fn ended(
    piece: &Piece<'_>,
    previous: Option<&Token<'_>>,
    wanted: &Wanted,
    place: Span,
) -> Option<Diagnostic> {
    let error = |message: &str| Diagnostic::error("E0001", message);
    if wanted.any("`else`") {
        return Some(
            error("an `if` without `else` has no value when its condition fails")
                .at(place, "`else { .. }` belongs here")
                .help("write `if condition { a } else { b }`"),
        );
    }
    if let Some(next) = &piece.next
        && next.is_reserved()
        && !next.fresh
        && (wanted.any(NAME) || wanted.expression)
        && !wanted.operator
    {
        return Some(reserved(next, piece.span(next.start, next.end())));
    }
    let p = previous?;
    if wanted.expression {
        let spot = piece.span(p.start, p.end());
        let message = match piece.tokens {
            [_] => format!("`{}` needs an expression behind it", p.text),
            _ => format!("the expression stops after {}", called(Some(p))),
        };
        let label = "an expression is missing behind this";
        return Some(with_usage(error(&message).at(spot, label), piece));
    }
    None
}

fn reserved(token: &Token<'_>, place: Span) -> Diagnostic {
    Diagnostic::error(
        "E0001",
        format!("`{}` is a word of the language and cannot be a name", token.text),
    )
    .at(place, "reserved")
    .help(format!("choose another name, such as `{}_`", token.text))
}

fn spelled_operator(word: &str) -> Option<&'static str> {
    Some(match word {
        "and" | "AND" => "&",
        "or" | "OR" => "|",
        "implies" => "->",
        "iff" => "<->",
        "XOR" => "xor",
        _ => return None,
    })
}

/// Without a better idea: what was found and what was expected.
fn general(
    piece: &Piece<'_>,
    found: Option<&Token<'_>>,
    wanted: &Wanted,
    place: Span,
) -> Diagnostic {
    // A head ends where its body or the next clause begins, which is what was found.
    let found = found.or(piece.next.as_ref().filter(|next| !next.fresh));
    let message = if wanted.names.is_empty() {
        format!("{} is one thing too many", called(found))
    } else {
        format!("expected {}, found {}", wanted.phrase(), called(found))
    };
    let label = if wanted.names.is_empty() {
        "nothing more can stand here".to_owned()
    } else {
        format!("{} belongs here", wanted.phrase())
    };
    with_usage(Diagnostic::error("E0001", message).at(place, label), piece)
}

/// Adds how the clause or item at hand is written.
fn with_usage(diagnostic: Diagnostic, piece: &Piece<'_>) -> Diagnostic {
    let usage = match piece.tokens.first().map(|t| t.text) {
        Some("data") => {
            "write `data pair(w > l)`, `data ranked(y[K])`, `data labelled(y, good)`, .."
        }
        Some("model") => "write `model pi = policy` or `model pi = policy, aggregate mean`",
        Some("column") => "write `column margin` or `column weight in (0, inf)`",
        Some("let") => "write `let r = expression` or `let s[i] = expression`",
        Some("rho") => "write `rho = expression`",
        Some("prefer") => "write `prefer formula`, for example `prefer pi(l) -> pi(w)`",
        Some("given") => "write `given formula`, for example `given pi(l) xor pi(w)`",
        Some("tie") => "write `tie formula`, for example `tie pi(l) & pi(w)`",
        Some("minimize") => "write `minimize expression`, for example `minimize logistic(rho)`",
        Some("fn") => "write `fn name(x, y) = expression`",
        Some("loss") if piece.tokens.iter().any(|t| t.is("with")) => {
            "write `loss name = base with { beta = 0.5, link = hinge(1) }`"
        }
        Some("loss") => "write `loss name(beta = 0.1 in (0, inf)) { .. }`",
        Some("import") => "write `import \"other.loss\";`",
        Some("edition") => "write `edition 2026;`",
        _ => return diagnostic,
    };
    diagnostic.help(usage)
}
