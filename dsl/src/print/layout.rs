//! Line breaking: documents of text, breaks and groups, laid out within a width.
//!
//! A group is laid out flat when it fits into the line, else all its breaks become newlines. A
//! comment ends its line, so a group with one inside is always broken.

use crate::ast::Comment;

/// Text with places where lines may break.
#[derive(Debug)]
pub(super) enum Doc<'a> {
    /// Text that is no word: operators, brackets, blanks.
    Text(&'static str),
    /// A word.
    Leaf(Leaf<'a>),
    /// A blank, or a newline in a broken group.
    Line,
    /// Nothing, or a newline in a broken group.
    Soft,
    /// A newline.
    Hard,
    /// An empty line.
    Blank,
    /// Text that stands only in a broken group.
    Broken(&'static str),
    /// More indentation for the newlines inside.
    Nest(usize, Box<Doc<'a>>),
    /// Breaks together; the flag says that it must.
    Group(Box<Doc<'a>>, bool),
    /// One after the other.
    Row(Vec<Doc<'a>>),
}

/// A word with the comments that stand before it.
#[derive(Debug)]
pub(super) struct Leaf<'a> {
    pub(super) text: String,
    pub(super) comments: Vec<&'a Comment>,
    /// The indentation of the comments, if it is not that of the word.
    pub(super) indent: Option<usize>,
}

impl<'a> Doc<'a> {
    pub(super) fn nest(step: usize, inner: Doc<'a>) -> Self {
        Doc::Nest(step, Box::new(inner))
    }

    pub(super) fn group(inner: Doc<'a>) -> Self {
        let must_break = inner.ends_a_line();
        Doc::Group(Box::new(inner), must_break)
    }

    fn ends_a_line(&self) -> bool {
        match self {
            Doc::Leaf(leaf) => !leaf.comments.is_empty(),
            Doc::Hard | Doc::Blank => true,
            Doc::Nest(_, inner) => inner.ends_a_line(),
            Doc::Group(_, must_break) => *must_break,
            Doc::Row(parts) => parts.iter().any(Doc::ends_a_line),
            Doc::Text(_) | Doc::Line | Doc::Soft | Doc::Broken(_) => false,
        }
    }
}

/// A part still to be laid out: its indentation, and whether its breaks are newlines.
type Task<'d, 'a> = (usize, bool, &'d Doc<'a>);

/// Lays a document out, then the comments behind it; the text ends with a newline.
pub(super) fn render(doc: &Doc<'_>, rest: &[&Comment], width: usize) -> String {
    let mut page = Page::default();
    let mut tasks = vec![(0, true, doc)];
    while let Some((indent, broken, doc)) = tasks.pop() {
        match doc {
            Doc::Text(text) => page.write(text),
            Doc::Leaf(leaf) => {
                for comment in &leaf.comments {
                    page.comment(comment, leaf.indent.unwrap_or(indent), indent);
                }
                page.write(&leaf.text);
                page.commented = leaf.text.starts_with("//");
            }
            Doc::Line if !broken => page.write(" "),
            Doc::Soft if !broken => {}
            Doc::Line | Doc::Soft | Doc::Hard => page.newline(indent, false),
            Doc::Blank => page.newline(indent, true),
            Doc::Broken(text) if broken => page.write(text),
            Doc::Broken(_) => {}
            Doc::Nest(step, inner) => tasks.push((indent + step, broken, inner)),
            Doc::Group(inner, must_break) => {
                let room = width.saturating_sub(page.column());
                // Inside a group that fits, everything fits.
                let flat = !broken || (!must_break && fits(room, inner, &tasks));
                tasks.push((indent, !flat, inner));
            }
            Doc::Row(parts) => tasks.extend(parts.iter().rev().map(|p| (indent, broken, p))),
        }
    }
    page.finish(rest)
}

/// True when `doc`, laid out flat, and what follows it up to the next newline take at most `room`.
fn fits(mut room: usize, doc: &Doc<'_>, after: &[Task<'_, '_>]) -> bool {
    let mut tasks = vec![(false, doc)];
    let mut after = after.iter().rev();
    loop {
        let (broken, doc) = match tasks.pop() {
            Some(task) => task,
            None => match after.next() {
                Some((_, broken, doc)) => (*broken, *doc),
                None => return true,
            },
        };
        let taken = match doc {
            Doc::Text(text) => text.len(),
            Doc::Leaf(leaf) if !leaf.comments.is_empty() => return true,
            Doc::Leaf(leaf) => leaf.text.chars().count(),
            Doc::Line | Doc::Soft if broken => return true,
            Doc::Hard | Doc::Blank => return true,
            Doc::Line => 1,
            Doc::Broken(text) if broken => text.len(),
            Doc::Soft | Doc::Broken(_) => 0,
            Doc::Nest(_, inner) => {
                tasks.push((broken, inner));
                0
            }
            // What follows may break wherever it can.
            Doc::Group(inner, must_break) => {
                tasks.push((broken || *must_break, inner));
                0
            }
            Doc::Row(parts) => {
                tasks.extend(parts.iter().rev().map(|p| (broken, p)));
                0
            }
        };
        match room.checked_sub(taken) {
            Some(left) => room = left,
            None => return false,
        }
    }
}

/// A newline not yet written: a trailing comment may still come before it.
#[derive(Clone, Copy)]
struct Newline {
    indent: usize,
    blank: bool,
}

/// The text so far.
#[derive(Default)]
struct Page {
    text: String,
    column: usize,
    pending: Option<Newline>,
    /// True when the line ends with a comment or documentation: nothing can follow on it.
    commented: bool,
}

impl Page {
    fn column(&self) -> usize {
        self.pending.map_or(self.column, |n| n.indent)
    }

    fn newline(&mut self, indent: usize, blank: bool) {
        self.pending = Some(Newline { indent, blank });
    }

    fn write(&mut self, text: &str) {
        if let Some(Newline { indent, blank }) = self.pending.take() {
            if !self.text.is_empty() {
                self.text.truncate(self.text.trim_end_matches(' ').len());
                self.text.push_str(if blank { "\n\n" } else { "\n" });
            }
            self.text.extend(std::iter::repeat_n(' ', indent));
            self.column = indent;
            self.commented = false;
        }
        self.text.push_str(text);
        self.column += text.chars().count();
    }

    /// Writes a comment at `own` columns before a word that stands at `word` columns.
    fn comment(&mut self, comment: &Comment, own: usize, word: usize) {
        if comment.own_line || self.commented || self.text.is_empty() {
            let next = self.pending.unwrap_or(Newline { indent: word, blank: false });
            self.newline(own, next.blank);
            self.write(&comment.text);
            self.newline(next.indent, comment.blank_after);
        } else {
            self.text.truncate(self.text.trim_end_matches(' ').len());
            self.text.push_str("  ");
            self.text.push_str(&comment.text);
            self.pending.get_or_insert(Newline { indent: word, blank: false });
        }
        self.commented = true;
    }

    fn finish(mut self, rest: &[&Comment]) -> String {
        for (i, comment) in rest.iter().enumerate() {
            if i == 0 && comment.own_line {
                self.newline(0, true);
            }
            self.comment(comment, 0, 0);
        }
        self.text.truncate(self.text.trim_end_matches(' ').len());
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text
    }
}
