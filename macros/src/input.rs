//! What stands between the macro's braces.
//!
//! In: tokens. Out: the loss text, and for each loss what Rust adds to it: a visibility and attributes.

use crate::attribute::Attributes;
use crate::text::Text;
use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use std::iter::Peekable;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Attribute, Expr, ExprLit, Lit, LitStr, Meta, Token, Visibility};

/// What Rust adds to a loss.
#[derive(Default)]
pub(crate) struct Item {
    /// The name of the loss; dotted for the catalogue's lattice.
    pub(crate) name: String,
    /// Who may use the generated module and struct.
    pub(crate) visibility: Option<Visibility>,
    /// Struct name and claims.
    pub(crate) attributes: Attributes,
    /// Where the name stands.
    pub(crate) span: Option<Span>,
}

/// The input of `loss!`.
pub(crate) struct Inline {
    /// The text, with the tokens behind it.
    pub(crate) text: Text,
    /// Its losses in order.
    pub(crate) items: Vec<Item>,
}

type Tokens = Peekable<proc_macro2::token_stream::IntoIter>;

/// Splits the input of `loss!` into loss text and what Rust adds.
pub(crate) fn inline(input: TokenStream) -> Result<Inline, syn::Error> {
    let mut text = Text::default();
    let (mut items, mut errors) = (Vec::new(), Vec::new());
    let mut next = Item::default();
    // What Rust adds must stand before `loss`; this is where it began.
    let mut pending: Option<Span> = None;
    let mut tokens: Tokens = input.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match &token {
            TokenTree::Punct(p) if p.as_char() == '#' => {
                let (hash, body) = (token.clone(), tokens.next());
                let all: TokenStream = [Some(hash), body].into_iter().flatten().collect();
                let read = Attribute::parse_outer.parse2(all).map(|list| list.into_iter().next());
                match read {
                    Ok(Some(a)) => match documentation(&a) {
                        Some((line, span)) => text.docs(&line, span),
                        None => {
                            pending.get_or_insert(p.span());
                            attribute(&a, &mut next.attributes, &mut errors);
                        }
                    },
                    Ok(None) => {}
                    Err(e) => errors.push(e),
                }
            }
            TokenTree::Ident(i) if i == "pub" => {
                let mut all = TokenStream::from(token.clone());
                let scope = |t: &TokenTree| matches!(t, TokenTree::Group(g) if g.delimiter() == Delimiter::Parenthesis);
                all.extend(tokens.next_if(scope));
                pending.get_or_insert(i.span());
                match Visibility::parse.parse2(all) {
                    Ok(v) => next.visibility = Some(v),
                    Err(e) => errors.push(e),
                }
            }
            TokenTree::Ident(i) if i == "import" => {
                errors.push(syn::Error::new(
                    i.span(),
                    "an import is relative to a file, and this text is in none\n\
                     help: write the losses into a file and use `include_loss!`",
                ));
                // The clause goes, so that it is reported once.
                tokens.by_ref().find(|t| matches!(t, TokenTree::Punct(p) if p.as_char() == ';'));
            }
            TokenTree::Ident(i) if i == "loss" => {
                text.token(token.clone());
                pending = None;
                let (name, span) = dotted(&mut tokens, &mut text);
                items.push(Item { name, span, ..std::mem::take(&mut next) });
            }
            other => {
                if let Some(span) = pending.take() {
                    errors.push(syn::Error::new(span, "this must stand before `loss`"));
                    next = Item::default();
                }
                text.token(other.clone());
            }
        }
    }
    if let Some(span) = pending {
        errors.push(syn::Error::new(span, "this must stand before `loss`"));
    }
    match crate::report::all(errors) {
        Some(e) => Err(e),
        None => Ok(Inline { text, items }),
    }
}

/// Takes a dotted name.
fn dotted(tokens: &mut Tokens, text: &mut Text) -> (String, Option<Span>) {
    let (mut name, mut span) = (String::new(), None);
    while let Some(token) = tokens.next_if(|t| match t {
        TokenTree::Ident(_) => name.is_empty() || name.ends_with('.'),
        TokenTree::Punct(p) => p.as_char() == '.' && !name.is_empty() && !name.ends_with('.'),
        _ => false,
    }) {
        name += &token.to_string();
        span.get_or_insert(token.span());
        text.token(token);
    }
    (name, span)
}

/// The line of a documentation attribute.
fn documentation(a: &Attribute) -> Option<(String, Span)> {
    match &a.meta {
        Meta::NameValue(m) if m.path.is_ident("doc") => match &m.value {
            Expr::Lit(ExprLit { lit: Lit::Str(s), .. }) => Some((s.value(), s.span())),
            _ => None,
        },
        _ => None,
    }
}

fn attribute(a: &Attribute, into: &mut Attributes, errors: &mut Vec<syn::Error>) {
    if a.path().is_ident("ponens") {
        errors.extend(into.read(a).err());
    } else {
        errors.push(syn::Error::new_spanned(
            a.path(),
            "a loss takes `///` documentation and `#[ponens(..)]` only",
        ));
    }
}

/// The attributes and the visibility before a name or path.
fn added(input: ParseStream<'_>) -> syn::Result<Item> {
    let mut errors = Vec::new();
    let mut item = Item::default();
    for a in Attribute::parse_outer(input)? {
        attribute(&a, &mut item.attributes, &mut errors);
    }
    item.visibility = Some(input.parse()?);
    match crate::report::all(errors) {
        Some(e) => Err(e),
        None => Ok(item),
    }
}

fn name(input: ParseStream<'_>, item: &mut Item) -> syn::Result<()> {
    use syn::ext::IdentExt as _;
    let first = syn::Ident::parse_any(input)?;
    item.span = Some(first.span());
    item.name = first.to_string();
    while input.peek(Token![.]) {
        input.parse::<Token![.]>()?;
        item.name = format!("{}.{}", item.name, syn::Ident::parse_any(input)?);
    }
    Ok(())
}

/// The input of `include_loss!`: a path, and the name of one of its losses.
pub(crate) struct Included {
    /// The path, relative to the crate's manifest.
    pub(crate) path: LitStr,
    /// What Rust adds; the name is empty when all losses of the file are meant.
    pub(crate) item: Item,
}

impl Parse for Included {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut item = added(input)?;
        let path = input.parse()?;
        if input.peek(Token![,]) {
            input.parse::<Token![,]>()?;
            if !input.is_empty() {
                name(input, &mut item)?;
            }
        }
        Ok(Self { path, item })
    }
}

/// The input of `catalogue_loss!`: a name.
pub(crate) struct Catalogued(pub(crate) Item);

impl Parse for Catalogued {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut item = added(input)?;
        name(input, &mut item)?;
        Ok(Self(item))
    }
}
