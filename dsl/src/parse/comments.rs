//! Gives every comment its place in the tree, independent of byte offsets.

use super::scan::{Kind, Remark, Token};
use crate::ast::Comment;
use crate::span::{FileId, Span};

/// The comments of a text that are not documentation. `documented` holds the tokens whose doc lines
/// are in the tree, `body_ends` those that close the body of a loss; both ascend.
pub(super) fn place(
    file: FileId,
    tokens: &[Token<'_>],
    remarks: &[Remark<'_>],
    documented: &[usize],
    body_ends: &[usize],
) -> Vec<Comment> {
    let (mut comments, mut words, mut counted) = (Vec::new(), 0, 0);
    for (i, remark) in remarks.iter().enumerate() {
        for (k, token) in tokens.iter().enumerate().take(remark.tokens_before).skip(counted) {
            let wordlike = matches!(token.kind, Kind::Word | Kind::Number | Kind::Quoted);
            words += usize::from(wordlike || body_ends.binary_search(&k).is_ok());
        }
        counted = counted.max(remark.tokens_before);
        if remark.doc().is_some() && documented.binary_search(&remark.tokens_before).is_ok() {
            words += 1;
            continue;
        }
        // A blank line at the very end parts nothing.
        let last = i + 1 == remarks.len() && remark.tokens_before == tokens.len();
        comments.push(Comment {
            text: remark.text.to_owned(),
            word: words,
            own_line: remark.own_line,
            blank_after: remark.own_line && remark.blank_after && !last,
            span: Span::new(file, remark.start, remark.start + remark.text.len()),
        });
    }
    comments
}
