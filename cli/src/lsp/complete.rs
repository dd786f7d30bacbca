//! What can stand at a place of a text: names in sight, functions, clauses, losses to derive from.
//!
//! In: a text, its tree, a byte. Out: items of the protocol. The text is mostly broken where something is being
//! typed, so the tree is asked for names only, and the words before the place decide.

use super::document::word;
use ponens_compiler::hir;
use ponens_dsl::ast::{Clause, DataArg, File, Item, Loss};
use ponens_dsl::parse::{REDUCERS, RESERVED};
use ponens_losses::Catalogue;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Kinds of the protocol.
const FUNCTION: u32 = 3;
const VARIABLE: u32 = 6;
const CLASS: u32 = 7;
const KEYWORD: u32 = 14;

/// Words that begin an item, or a clause of a loss; the other reserved ones stand inside.
const ITEMS: [&str; 4] = ["loss", "fn", "import", "edition"];

/// By label: the kind, and what stands beside it.
type Found = BTreeMap<String, (u32, String)>;

/// The items at a byte of a text.
pub(super) fn complete(text: &str, tree: &File, at: usize) -> Value {
    let (start, _) = word(text, at);
    let before = text[..start].trim_end();
    let mut found = Found::new();
    let around = tree.items.iter().find_map(|i| match i {
        Item::Loss(l) if (l.span.start as usize..=l.span.end as usize).contains(&at) => Some(l),
        _ => None,
    });
    if derives(before) {
        losses(tree, &mut found);
    } else if let Some(loss) = around {
        names(loss, &mut found);
        functions(tree, &mut found);
        let inside = RESERVED.iter().filter(|w| !ITEMS.contains(w));
        found.extend(inside.map(|w| ((*w).to_owned(), (KEYWORD, String::new()))));
    } else {
        found.extend(ITEMS.map(|w| (w.to_owned(), (KEYWORD, String::new()))));
    }
    found
        .into_iter()
        .map(|(label, (kind, detail))| json!({ "label": label, "kind": kind, "detail": detail }))
        .collect()
}

/// True behind `loss name =`, where the loss to derive from is wanted.
fn derives(before: &str) -> bool {
    let mut words = before.strip_suffix('=').unwrap_or_default().split_whitespace().rev();
    words.next().is_some() && words.next() == Some("loss")
}

fn losses(tree: &File, found: &mut Found) {
    for entry in Catalogue.entries() {
        let title = entry.text.lines().next().unwrap_or_default();
        let title = title.trim_start_matches('/').trim();
        found.insert(entry.name.to_string(), (CLASS, title.to_owned()));
    }
    for item in &tree.items {
        let name = match item {
            Item::Loss(l) => &l.name,
            Item::Variant(v) => &v.name,
            Item::Function(_) => continue,
        };
        found.insert(name.text.clone(), (CLASS, "of this file".to_owned()));
    }
}

/// What a loss declares.
fn names(loss: &Loss, found: &mut Found) {
    let mut add = |name: &str, what: &str| {
        found.insert(name.to_owned(), (VARIABLE, what.to_owned()));
    };
    loss.params.iter().for_each(|p| add(&p.name.text, "parameter"));
    for clause in &loss.clauses {
        match clause {
            Clause::Model(m) => add(&m.name.text, &format!("model, {}", m.role.text)),
            Clause::Column { name, .. } => add(&name.text, "column"),
            Clause::Let { name, .. } => add(&name.text, "definition"),
            Clause::Rho { .. } | Clause::Prefer { .. } => {
                add("rho", "log-odds of winning against losing rows");
            }
            Clause::Data(data) => {
                for arg in &data.args {
                    match arg {
                        DataArg::Plain(n) => add(&n.text, "data"),
                        DataArg::Ordered(w, l) => {
                            add(&w.text, "preferred response");
                            add(&l.text, "other response");
                        }
                        DataArg::Family(n, size) => {
                            add(&n.text, "data, indexed");
                            add(&size.text, "how many");
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

fn functions(tree: &File, found: &mut Found) {
    let mut add = |name: &str, usage: String| {
        found.insert(name.to_owned(), (FUNCTION, usage));
    };
    hir::usages().for_each(|(name, usage)| add(name, usage.to_owned()));
    for reducer in REDUCERS {
        // `max` and `min` of two numbers stand in the list above.
        let also = if ["max", "min"].contains(reducer) {
            format!("{reducer}(a, b), ")
        } else {
            String::new()
        };
        add(reducer, format!("{also}{reducer}(i) x[i]"));
    }
    for item in &tree.items {
        if let Item::Function(f) = item {
            let args: Vec<&str> = f.args.iter().map(|a| a.text.as_str()).collect();
            add(&f.name.text, format!("{}({})", f.name.text, args.join(", ")));
        }
    }
}
