//! Reads the text form of a graph back.
//!
//! In: text as [`super::text`] prints it, with `//` comments and any line breaks. Out: the graph, not
//! verified, or the first error with its place. Invariant: no input makes it panic or run longer than
//! its length allows.

use super::text::{BINARY, REDUCE, UNARY, is_plain};
use super::{Direction, Graph, Input, Interval, Level, Node, NodeId, Op, Param, Root, Stage};
use std::fmt;

/// Why a text is no graph, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What was expected.
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for ParseError {}

/// Reads one graph.
///
/// # Errors
///
/// The first place where the text departs from the form that [`super::text::print`] gives.
pub fn parse(text: &str) -> Result<Graph, ParseError> {
    let mut parser = Parser::new(text);
    let graph = parser.graph()?;
    parser.end()?;
    Ok(graph)
}

pub(crate) struct Parser<'a> {
    text: &'a str,
    /// Byte offset, on a character boundary.
    at: usize,
}

pub(crate) type Parsed<T> = Result<T, ParseError>;

impl<'a> Parser<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Nothing but blanks is left.
    pub(crate) fn end(&mut self) -> Parsed<()> {
        self.space();
        if self.at < self.text.len() { Err(self.error("the end of the text")) } else { Ok(()) }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn error(&self, expected: &str) -> ParseError {
        let before = &self.text[..self.at];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        let found = match self.rest().chars().next() {
            Some(c) => format!("`{}`", c.escape_debug()),
            None => "the end of the text".to_owned(),
        };
        ParseError { line, column, message: format!("expected {expected}, found {found}") }
    }

    /// Skips blanks and comments.
    fn space(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with("//") {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    /// The characters that satisfy a predicate, after blanks.
    fn run(&mut self, f: impl Fn(char) -> bool) -> &'a str {
        self.space();
        let rest = self.rest();
        let end = rest.find(|c| !f(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    pub(crate) fn symbol(&mut self, symbol: &str) -> Parsed<()> {
        self.space();
        if !self.rest().starts_with(symbol) {
            return Err(self.error(&format!("`{symbol}`")));
        }
        self.at += symbol.len();
        Ok(())
    }

    /// Takes the symbol if it is next.
    pub(crate) fn symbol_is(&mut self, symbol: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(symbol);
        if found {
            self.at += symbol.len();
        }
        found
    }

    pub(crate) fn keyword_is(&mut self, word: &str) -> bool {
        let start = self.at;
        let found = self.run(|c| c.is_ascii_alphanumeric() || c == '_') == word;
        if !found {
            self.at = start;
        }
        found
    }

    pub(crate) fn keyword(&mut self, word: &str) -> Parsed<()> {
        if self.keyword_is(word) { Ok(()) } else { Err(self.wanted(&format!("`{word}`"))) }
    }

    /// An error at the next character that is not blank.
    fn wanted(&mut self, expected: &str) -> ParseError {
        self.space();
        self.error(expected)
    }

    pub(crate) fn word<T: Clone>(&mut self, table: &[(T, &str)], expected: &str) -> Parsed<T> {
        self.space();
        let start = self.at;
        let word = self.run(|c| c.is_ascii_alphanumeric() || c == '_');
        match table.iter().find(|(_, k)| *k == word) {
            Some((value, _)) => Ok(value.clone()),
            None => {
                self.at = start;
                Err(self.error(expected))
            }
        }
    }

    fn number(&mut self) -> Parsed<f64> {
        self.space();
        let start = self.at;
        let word = self.run(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        word.parse().map_err(|_| {
            self.at = start;
            self.error("a number")
        })
    }

    fn integer<T: std::str::FromStr>(&mut self, expected: &str) -> Parsed<T> {
        let start = self.at;
        let word = self.run(|c| c.is_ascii_digit() || c == '-');
        word.parse().map_err(|_| {
            self.at = start;
            self.error(expected)
        })
    }

    pub(crate) fn name(&mut self) -> Parsed<String> {
        self.space();
        if self.rest().starts_with('"') {
            return self.quoted();
        }
        match self.run(is_plain) {
            "" => Err(self.error("a name")),
            name => Ok(name.to_owned()),
        }
    }

    fn quoted(&mut self) -> Parsed<String> {
        self.symbol("\"")?;
        let mut name = String::new();
        loop {
            let Some(c) = self.rest().chars().next() else {
                return Err(self.error("the closing quote"));
            };
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(name),
                '\\' => name.push(self.escape()?),
                c => name.push(c),
            }
        }
    }

    fn escape(&mut self) -> Parsed<char> {
        for c in ['"', '\\'] {
            if self.rest().starts_with(c) {
                self.at += 1;
                return Ok(c);
            }
        }
        self.symbol("u{")?;
        let start = self.at;
        let digits = self.run(|c| c.is_ascii_hexdigit());
        let c = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
        let Some(c) = c else {
            self.at = start;
            return Err(self.error("a character code"));
        };
        self.symbol("}")?;
        Ok(c)
    }

    pub(crate) fn node(&mut self) -> Parsed<NodeId> {
        self.symbol("%")?;
        self.integer("a node number").map(NodeId)
    }

    fn level(&mut self) -> Parsed<Level> {
        self.symbol(":")?;
        let levels = [
            (Level::Uniform, "uniform"),
            (Level::Batch, "batch"),
            (Level::Example, "example"),
            (Level::Candidate, "candidate"),
            (Level::Token, "token"),
        ];
        self.word(&levels, "a level: uniform, batch, example, candidate or token")
    }

    fn range(&mut self) -> Parsed<Interval> {
        self.keyword("in")?;
        let lo_open = self.bracket('(', '[')?;
        let lo = self.number()?;
        self.symbol(",")?;
        let hi = self.number()?;
        let hi_open = self.bracket(')', ']')?;
        Ok(Interval { lo, hi, lo_open, hi_open })
    }

    /// True for the open bracket.
    fn bracket(&mut self, open: char, closed: char) -> Parsed<bool> {
        self.space();
        match self.rest().chars().next() {
            Some(c) if c == open || c == closed => {
                self.at += 1;
                Ok(c == open)
            }
            _ => Err(self.error(&format!("`{open}` or `{closed}`"))),
        }
    }

    fn graph(&mut self) -> Parsed<Graph> {
        self.keyword("mir")?;
        let mut graph = Graph::new(self.name()?);
        let stages = [(Stage::Written, "written"), (Stage::Total, "total")];
        graph.stage = self.word(&stages, "`written` or `total`")?;
        self.symbol("{")?;
        while self.keyword_is("param") {
            let param = self.param()?;
            graph.params.push(param);
        }
        while self.keyword_is("input") {
            let input = self.input()?;
            graph.inputs.push(input);
        }
        loop {
            self.space();
            if !self.rest().starts_with('%') {
                break;
            }
            let start = self.at;
            let id = self.node()?;
            if id.0 as usize != graph.nodes.len() {
                self.at = start;
                return Err(self.error(&format!("node %{}", graph.nodes.len())));
            }
            self.symbol("=")?;
            let op = self.operation(&graph)?;
            graph.nodes.push(Node { op, level: self.level()? });
        }
        while self.keyword_is("root") {
            let name = self.name()?;
            self.symbol("=")?;
            graph.roots.push(Root { name, node: self.node()? });
        }
        self.symbol("}")?;
        Ok(graph)
    }

    /// A parameter after its keyword.
    pub(crate) fn param(&mut self) -> Parsed<Param> {
        let name = self.name()?;
        let default = if self.symbol_is("=") { Some(self.number()?) } else { None };
        Ok(Param { name, default, range: self.range()? })
    }

    /// A column after its keyword.
    pub(crate) fn input(&mut self) -> Parsed<Input> {
        let name = self.name()?;
        let (level, range) = (self.level()?, self.range()?);
        let differentiable = self.keyword_is("grad");
        Ok(Input { name, level, range, differentiable })
    }

    pub(crate) fn operation(&mut self, graph: &Graph) -> Parsed<Op> {
        self.space();
        let start = self.at;
        let word = self.run(|c| c.is_ascii_alphanumeric() || c == '_');
        if let Some((op, _)) = UNARY.iter().find(|(_, k)| *k == word) {
            return Ok(Op::Unary(*op, self.node()?));
        }
        if let Some((op, _)) = BINARY.iter().find(|(_, k)| *k == word) {
            return Ok(Op::Binary(*op, self.node()?, self.node()?));
        }
        Ok(match word {
            "const" => Op::Const(self.number()?),
            "param" => Op::Param(self.reference(graph.params.iter().map(|p| p.name.as_str()))?),
            "input" => Op::Input(self.reference(graph.inputs.iter().map(|c| c.name.as_str()))?),
            "select" => Op::Select(self.node()?, self.node()?, self.node()?),
            "reduce" => {
                let op = self.word(&REDUCE, "`sum`, `mean`, `max` or `logsumexp`")?;
                Op::Reduce(op, self.node()?)
            }
            "count" => Op::Count(self.node()?),
            "sort" => Op::Sort(self.node()?),
            "unsort" => Op::Unsort(self.node()?, self.node()?),
            "suffix_sum" => Op::SuffixSum(self.node()?),
            "prefix_sum" => Op::PrefixSum(self.node()?),
            "shift" => {
                let n = self.integer("a whole number from -128 to 127")?;
                Op::Shift(self.node()?, n)
            }
            "logsumexps" => {
                let direction = self.direction()?;
                Op::LogSumExps(direction, self.node()?)
            }
            "recurrence" => {
                let direction = self.direction()?;
                Op::Recurrence(direction, self.node()?, self.node()?)
            }
            "position" => Op::Position(self.node()?),
            _ => {
                self.at = start;
                return Err(self.error("an operation"));
            }
        })
    }

    fn direction(&mut self) -> Parsed<Direction> {
        let ways = [(Direction::Earlier, "earlier"), (Direction::Later, "later")];
        self.word(&ways, "`earlier` or `later`")
    }

    fn reference<'n>(&mut self, mut names: impl Iterator<Item = &'n str>) -> Parsed<u16> {
        self.space();
        if self.rest().starts_with('#') {
            self.symbol("#")?;
            return self.integer("an index");
        }
        let start = self.at;
        let name = self.name()?;
        let index = names.position(|n| n == name).and_then(|i| u16::try_from(i).ok());
        index.ok_or_else(|| {
            self.at = start;
            self.error("the name of a declared parameter or input")
        })
    }
}
