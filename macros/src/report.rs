//! Diagnostics of the compiler as errors of rustc.

use crate::text::{Text, stretch};
use ponens_dsl::{Diagnostic, FileId, SourceMap, Span};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

/// Where the texts of a macro call come from.
pub(crate) struct Origin<'a> {
    /// All texts.
    pub(crate) sources: &'a SourceMap,
    /// The text that was written as tokens.
    pub(crate) tokens: Option<(FileId, &'a Text)>,
    /// The token that stands for all other texts.
    pub(crate) place: proc_macro2::Span,
}

impl Origin<'_> {
    /// A place of a text as tokens.
    fn stretch(&self, span: Span) -> Option<TokenStream> {
        let (file, text) = self.tokens.as_ref()?;
        let range = span.start as usize..span.end as usize;
        (*file == span.file).then(|| stretch(text.spans(range)))
    }

    /// A place as `file:line:column`.
    fn named(&self, span: Span) -> Option<String> {
        let source = self.sources.find(span.file)?;
        let (line, column) = self.sources.line_column(span.file, span.start);
        Some(format!("{}:{line}:{column}", source.name))
    }

    /// What a diagnostic says, its places outside the tokens by line and column.
    fn words(&self, d: &Diagnostic) -> String {
        let mut text = format!("{} [{}]", d.message, d.code);
        for (i, label) in d.labels.iter().enumerate() {
            let inside = self.stretch(label.span).is_some();
            match self.named(label.span) {
                Some(place) if !inside => text += &format!("\n{place}: {}", label.text),
                _ if i == 0 => text += &format!("\n{}", label.text),
                _ => text += &format!("\n`{}`: {}", self.sources.slice(label.span), label.text),
            }
        }
        for note in &d.notes {
            text += &format!("\nnote: {note}");
        }
        if let Some(help) = &d.help {
            text += &format!("\nhelp: {help}");
        }
        // Where the crate lies is no business of the message.
        match std::env::var("CARGO_MANIFEST_DIR") {
            Ok(root) if !root.is_empty() => {
                text.replace(&format!("{root}{}", std::path::MAIN_SEPARATOR), "")
            }
            _ => text,
        }
    }

    /// An error at its token, or at the place that stands for its text.
    pub(crate) fn error(&self, d: &Diagnostic) -> syn::Error {
        let words = self.words(d);
        match d.labels.first().and_then(|l| self.stretch(l.span)) {
            Some(tokens) => syn::Error::new_spanned(tokens, words),
            None => syn::Error::new(self.place, words),
        }
    }

    /// An error at a place of a text.
    pub(crate) fn error_at(&self, span: Span, words: String) -> syn::Error {
        match self.stretch(span) {
            Some(tokens) => syn::Error::new_spanned(tokens, words),
            None => syn::Error::new(self.place, words),
        }
    }

    /// Items that make rustc warn at the token. Stable Rust gives a macro no other way.
    pub(crate) fn warning(&self, d: &Diagnostic) -> TokenStream {
        let Some(tokens) = d.labels.first().and_then(|l| self.stretch(l.span)) else {
            return quote!();
        };
        let words = self.words(d);
        let span = tokens.into_iter().next().map_or(self.place, |t| t.span());
        let used = quote_spanned!(span=> PONENS_WARNING);
        quote! {
            const _: () = {
                #[deprecated(note = #words)]
                const PONENS_WARNING: () = ();
                #used
            };
        }
    }
}

/// All errors in one.
pub(crate) fn all(errors: impl IntoIterator<Item = syn::Error>) -> Option<syn::Error> {
    errors.into_iter().reduce(|mut all, next| {
        all.combine(next);
        all
    })
}
