//! Tables of text, aligned by the widest cell.

use crate::style::Style;

/// Rows under a head.
pub(crate) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
}

impl Table {
    /// An empty table; a title that starts with `>` aligns its column to the right.
    pub(crate) fn new<S: AsRef<str>>(titles: impl IntoIterator<Item = S>) -> Self {
        let (mut head, mut right) = (Vec::new(), Vec::new());
        for t in titles {
            let t = t.as_ref();
            right.push(t.starts_with('>'));
            head.push(t.trim_start_matches('>').to_owned());
        }
        Self { head, rows: Vec::new(), right }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The lines, the head first.
    pub(crate) fn lines(&self, style: Style) -> Vec<String> {
        let width = |c: usize| {
            let cells = self.rows.iter().filter_map(|r| r.get(c)).chain(self.head.get(c));
            cells.map(|s| s.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let line = |cells: &[String], strong: bool| {
            let mut text = String::new();
            for (c, cell) in cells.iter().enumerate() {
                let pad = " ".repeat(widths[c].saturating_sub(cell.chars().count()));
                let shown = if strong { style.strong(cell) } else { cell.clone() };
                text.push_str(if c > 0 { "  " } else { "" });
                if self.right[c] {
                    text.push_str(&pad);
                    text.push_str(&shown);
                } else {
                    text.push_str(&shown);
                    // No blanks at the end of a line.
                    if c + 1 < cells.len() {
                        text.push_str(&pad);
                    }
                }
            }
            text
        };
        let rows = self.rows.iter().map(|r| line(r, false));
        std::iter::once(line(&self.head, true)).chain(rows).collect()
    }
}
