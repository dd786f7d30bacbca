//! Files, items and clauses.

use super::expr::enclosed;
use super::layout::Doc;
use super::{Printer, STEP};
use crate::ast::{
    Clause, Data, DataArg, Expr, File, Function, Item, Loss, Model, Name, Param, Range, Variant,
};

impl<'a> Printer<'a> {
    pub(super) fn file(&mut self, file: &File) -> Doc<'a> {
        let mut row = Vec::new();
        if let Some((year, _)) = file.edition {
            row.extend([self.word("edition"), Doc::Text(" ")]);
            row.extend([self.word(year.to_string()), Doc::Text(";")]);
        }
        for import in &file.imports {
            if !row.is_empty() {
                row.push(Doc::Hard);
            }
            row.extend([self.word("import"), Doc::Text(" ")]);
            row.extend([self.word(format!("\"{}\"", import.path)), Doc::Text(";")]);
        }
        for item in &file.items {
            if !row.is_empty() {
                row.push(Doc::Blank);
            }
            row.push(self.item(item));
        }
        Doc::Row(row)
    }

    pub(super) fn item(&mut self, item: &Item) -> Doc<'a> {
        match item {
            Item::Loss(loss) => self.loss(loss),
            Item::Variant(variant) => self.variant(variant),
            Item::Function(function) => self.function(function),
        }
    }

    pub(super) fn loss(&mut self, loss: &Loss) -> Doc<'a> {
        let mut row = self.docs(&loss.docs);
        row.extend([self.word("loss"), Doc::Text(" "), self.name(&loss.name)]);
        let params = loss.params.iter().map(|p| self.param(p)).collect();
        row.extend([enclosed("(", params, ")"), Doc::Text(" {")]);
        let mut body = Vec::new();
        for (i, clause) in loss.clauses.iter().enumerate() {
            // What is given and what is made of it are two paragraphs.
            let parted = i > 0 && declares(&loss.clauses[i - 1]) && !declares(clause);
            body.push(if parted { Doc::Blank } else { Doc::Hard });
            body.push(self.clause(clause));
        }
        row.extend([Doc::nest(STEP, Doc::Row(body)), Doc::Hard, self.leaf("}", Some(STEP))]);
        Doc::Row(row)
    }

    fn variant(&mut self, variant: &Variant) -> Doc<'a> {
        let mut row = self.docs(&variant.docs);
        row.extend([self.word("loss"), Doc::Text(" "), self.name(&variant.name)]);
        row.extend([Doc::Text(" = "), self.name(&variant.base), Doc::Text(" ")]);
        row.extend([self.word("with"), Doc::Text(" ")]);
        if variant.overrides.is_empty() {
            row.push(Doc::Text("{}"));
            return Doc::Row(row);
        }
        let mut changes = Vec::new();
        for (i, (key, value)) in variant.overrides.iter().enumerate() {
            if i > 0 {
                changes.push(Doc::Text(","));
            }
            changes.extend([Doc::Line, self.name(key), Doc::Text(" = "), self.expr(value, 0)]);
        }
        changes.push(Doc::Broken(","));
        let inner = vec![Doc::nest(STEP, Doc::Row(changes)), Doc::Line];
        row.extend([Doc::Text("{"), Doc::group(Doc::Row(inner)), Doc::Text("}")]);
        Doc::Row(row)
    }

    fn function(&mut self, function: &Function) -> Doc<'a> {
        let mut row = self.docs(&function.docs);
        row.extend([self.word("fn"), Doc::Text(" "), self.name(&function.name)]);
        let args = function.args.iter().map(|a| self.name(a)).collect();
        row.extend([enclosed("(", args, ")"), Doc::Text(" = "), self.expr(&function.body, 0)]);
        Doc::Row(row)
    }

    /// Documentation lines, each ended.
    fn docs(&mut self, docs: &[String]) -> Vec<Doc<'a>> {
        let mut row = Vec::new();
        for line in docs.iter().flat_map(|d| d.split('\n')) {
            let line = format!("/// {line}");
            row.extend([self.word(line.trim_end()), Doc::Hard]);
        }
        row
    }

    fn name(&mut self, name: &Name) -> Doc<'a> {
        self.word(name.text.as_str())
    }

    fn param(&mut self, param: &Param) -> Doc<'a> {
        let mut row = vec![self.name(&param.name)];
        if let Some(default) = &param.default {
            row.extend([Doc::Text(" = "), self.expr(default, 0)]);
        }
        row.extend(self.within(param.range.as_ref()));
        Doc::Row(row)
    }

    /// ` in [lo, hi)`
    fn within(&mut self, range: Option<&Range>) -> Vec<Doc<'a>> {
        let Some(range) = range else { return Vec::new() };
        let (open, close) =
            (if range.lo_closed { "[" } else { "(" }, if range.hi_closed { "]" } else { ")" });
        let mut row = vec![Doc::Text(" "), self.word("in"), Doc::Text(" "), Doc::Text(open)];
        row.extend([self.number(range.lo), Doc::Text(", "), self.number(range.hi)]);
        row.push(Doc::Text(close));
        row
    }

    fn clause(&mut self, clause: &Clause) -> Doc<'a> {
        match clause {
            Clause::Data(data) => self.data(data),
            Clause::Model(model) => self.model(model),
            Clause::Column { name, of, range, .. } => {
                let mut row = vec![self.word("column"), Doc::Text(" "), self.name(name)];
                row.extend(self.indices(of.as_slice()));
                row.extend(self.within(range.as_ref()));
                Doc::Row(row)
            }
            Clause::Let { name, indices, value, .. } => {
                let mut row = vec![self.word("let"), Doc::Text(" "), self.name(name)];
                row.extend(self.indices(indices));
                row.extend([Doc::Text(" = "), self.expr(value, 0)]);
                Doc::Row(row)
            }
            Clause::Rho { value, .. } => {
                Doc::Row(vec![self.word("rho"), Doc::Text(" = "), self.expr(value, 0)])
            }
            Clause::Prefer { formula, .. } => self.keyed("prefer", formula),
            Clause::Given { formula, .. } => self.keyed("given", formula),
            Clause::Tie { formula, .. } => self.keyed("tie", formula),
            Clause::Minimize { value, .. } => self.keyed("minimize", value),
        }
    }

    /// `[i][t]`
    fn indices(&mut self, names: &[Name]) -> Vec<Doc<'a>> {
        let one = |n: &Name| [Doc::Text("["), self.name(n), Doc::Text("]")];
        names.iter().flat_map(one).collect()
    }

    fn keyed(&mut self, keyword: &'static str, value: &Expr) -> Doc<'a> {
        Doc::Row(vec![self.word(keyword), Doc::Text(" "), self.expr(value, 0)])
    }

    fn data(&mut self, data: &Data) -> Doc<'a> {
        let mut row = vec![self.word("data"), Doc::Text(" "), self.name(&data.shape)];
        let mut args = Vec::new();
        for arg in &data.args {
            args.push(match arg {
                DataArg::Plain(name) => self.name(name),
                DataArg::Ordered(over, under) => {
                    Doc::Row(vec![self.name(over), Doc::Text(" > "), self.name(under)])
                }
                DataArg::Family(name, count) => {
                    let (name, count) = (self.name(name), self.name(count));
                    Doc::Row(vec![name, Doc::Text("["), count, Doc::Text("]")])
                }
            });
        }
        row.push(enclosed("(", args, ")"));
        Doc::Row(row)
    }

    fn model(&mut self, model: &Model) -> Doc<'a> {
        let mut row = vec![self.word("model"), Doc::Text(" "), self.name(&model.name)];
        row.extend([Doc::Text(" = "), self.name(&model.role)]);
        let mut options = Vec::new();
        for option in &model.options {
            options.extend([Doc::Text(","), Doc::Line, self.name(&option.key), Doc::Text(" ")]);
            options.push(self.expr(&option.value, 0));
        }
        row.push(Doc::group(Doc::nest(STEP, Doc::Row(options))));
        Doc::Row(row)
    }
}

/// True for clauses that say what is given: data, models, columns.
fn declares(clause: &Clause) -> bool {
    matches!(clause, Clause::Data(_) | Clause::Model(_) | Clause::Column { .. })
}
