//! The three macros: from input to items.

use crate::claim;
use crate::expand::{self, Style};
use crate::input::{self, Catalogued, Included, Item};
use crate::report::{self, Origin};
use crate::text::Text;
use ponens_compiler::hir::{Kind, Program};
use ponens_compiler::session::{self, Compiled, Options};
use ponens_dsl::{Diagnostic, FileId};
use ponens_losses::Catalogue;
use proc_macro2::{Span, TokenStream};
use quote::quote;
use std::path::{Path, PathBuf};
use syn::LitStr;

type Result<T> = std::result::Result<T, syn::Error>;

/// `loss! { .. }`
pub(crate) fn loss(input: TokenStream) -> Result<TokenStream> {
    let mut program = Program::new();
    if let Ok(text) = syn::parse2::<LitStr>(input.clone()) {
        let (file, found) = program.add_text("<loss>", &text.value());
        let place = text.span();
        return Call { program, file, text: None, place }.all(found, Item::default());
    }
    let inline = input::inline(input)?;
    let (file, found) = program.add_text("<loss>", inline.text.as_str());
    let call = Call { program, file, text: Some(inline.text), place: Span::call_site() };
    call.items(found, inline.items)
}

/// `include_loss!("path", name)`
pub(crate) fn include(input: TokenStream, root: &Path) -> Result<TokenStream> {
    let Included { path, item } = syn::parse2(input)?;
    let place = path.span();
    let mut program = Program::new();
    let (file, found) = program.add_file(&root.join(path.value()));
    let Some(file) = file else {
        let origin = Origin { sources: &program.sources, tokens: None, place };
        let failed = report::all(found.iter().map(|d| origin.error(d)));
        return Err(failed.unwrap_or_else(|| syn::Error::new(place, "the file cannot be read")));
    };
    let call = Call { program, file, text: None, place };
    if item.name.is_empty() { call.all(found, item) } else { call.items(found, vec![item]) }
}

/// `catalogue_loss!(name)`
pub(crate) fn catalogue(input: TokenStream) -> Result<TokenStream> {
    let Catalogued(item) = syn::parse2(input)?;
    let mut program = Program::new();
    let (file, found) = program.add_text("<catalogue>", "");
    let place = item.span.unwrap_or_else(Span::call_site);
    Call { program, file, text: None, place }.items(found, vec![item])
}

/// One call of a macro.
struct Call {
    program: Program,
    /// The text of the call.
    file: FileId,
    /// Its tokens.
    text: Option<Text>,
    /// What stands for texts without tokens.
    place: Span,
}

impl Call {
    fn origin(&self) -> Origin<'_> {
        let tokens = self.text.as_ref().map(|t| (self.file, t));
        Origin { sources: &self.program.sources, tokens, place: self.place }
    }

    fn refused(&self, found: &[Diagnostic]) -> Option<syn::Error> {
        report::all(found.iter().filter(|d| d.is_error()).map(|d| self.origin().error(d)))
    }

    /// All losses of the text, each as `like` says.
    fn all(self, found: Vec<Diagnostic>, like: Item) -> Result<TokenStream> {
        if let Some(e) = self.refused(&found) {
            return Err(e);
        }
        let names: Vec<String> =
            self.program.losses_of(self.file).into_iter().map(|n| n.text.clone()).collect();
        match names.as_slice() {
            [] => Err(syn::Error::new(self.place, "there is no loss in this text")),
            [name] => {
                let item = Item { name: name.clone(), ..like };
                self.items(found, vec![item])
            }
            _ if !like.attributes.is_empty() => Err(syn::Error::new(
                self.place,
                format!("the text has {} losses: say which one is meant", names.len()),
            )),
            _ => {
                let visibility = like.visibility;
                let item = |name: &String| Item {
                    name: name.clone(),
                    visibility: visibility.clone(),
                    ..Item::default()
                };
                let items = names.iter().map(item).collect();
                self.items(found, items)
            }
        }
    }

    /// The items of the named losses, or every error that they have.
    fn items(mut self, found: Vec<Diagnostic>, items: Vec<Item>) -> Result<TokenStream> {
        let duplicates = self.program.duplicates();
        let found: Vec<Diagnostic> = found.into_iter().chain(duplicates).collect();
        if let Some(e) = self.refused(&found) {
            return Err(e);
        }
        if items.is_empty() {
            return Err(syn::Error::new(self.place, "there is no loss in this text"));
        }
        let (mut errors, mut out) = (Vec::new(), TokenStream::new());
        let mut warnings = found;
        for item in &items {
            match self.item(item, &mut warnings) {
                Ok(tokens) => out.extend(tokens),
                Err(e) => errors.push(e),
            }
        }
        if let Some(e) = report::all(errors) {
            return Err(e);
        }
        let origin = self.origin();
        out.extend(warnings.iter().filter(|d| !d.is_error()).map(|d| origin.warning(d)));
        out.extend(self.tracked());
        Ok(out)
    }

    fn item(&mut self, item: &Item, warnings: &mut Vec<Diagnostic>) -> Result<TokenStream> {
        let options = Options::default();
        let compiled = session::compile(&mut self.program, &item.name, &Catalogue, &options);
        let compiled = match compiled {
            Ok(c) => c,
            Err(found) => {
                let error = self.refused(&found);
                return Err(error.unwrap_or_else(|| {
                    syn::Error::new(self.place, format!("`{}` does not compile", item.name))
                }));
            }
        };
        for w in &compiled.warnings {
            if !warnings.contains(w) {
                warnings.push(w.clone());
            }
        }
        let mut errors = Vec::new();
        for claim in &item.attributes.claims {
            let find = &mut |name: &str| self.find(name);
            errors.extend(claim::check(claim, &compiled, find).err());
        }
        let text = expand::canonical(&self.program, &item.name);
        let style = Style {
            attributes: &item.attributes,
            visibility: item.visibility.as_ref(),
            text: text.as_deref(),
        };
        let expanded = expand::module(&compiled, &style).map_err(|refused| {
            let span = coupling(&compiled).unwrap_or(compiled.loss.span);
            let words = format!("`{}` cannot be Rust code: {refused}", item.name);
            self.origin().error_at(span, words)
        });
        match expanded {
            Ok(tokens) if errors.is_empty() => Ok(tokens),
            Ok(_) => Err(report::all(errors).unwrap_or_else(|| syn::Error::new(self.place, ""))),
            Err(e) => {
                errors.push(e);
                Err(report::all(errors).unwrap_or_else(|| syn::Error::new(self.place, "")))
            }
        }
    }

    /// A loss that a claim names: of the same text, or of the catalogue.
    fn find(&mut self, name: &str) -> std::result::Result<Compiled, String> {
        session::compile(&mut self.program, name, &Catalogue, &Options::default()).map_err(
            |found| {
                let first = found.iter().find(|d| d.is_error());
                let words = first.map_or_else(String::new, |d| d.message.clone());
                let help = first.and_then(|d| d.help.as_ref()).map(|h| format!("\nhelp: {h}"));
                format!("{words}{}", help.unwrap_or_default())
            },
        )
    }

    /// Makes cargo rebuild when a file that was read changes.
    fn tracked(&self) -> TokenStream {
        let sources = (0..).map_while(|i| self.program.sources.find(FileId(i)));
        let files = sources.map(|s| PathBuf::from(&s.name)).filter(|p| p.is_absolute());
        let paths = files.map(|p| p.to_string_lossy().into_owned());
        paths
            .map(|p| {
                quote!(
                    const _: &str = ::core::include_str!(#p);
                )
            })
            .collect()
    }
}

/// Where a loss reads the whole batch.
fn coupling(compiled: &Compiled) -> Option<ponens_dsl::Span> {
    let exprs = &compiled.loss.exprs;
    exprs.iter().find(|e| matches!(e.kind, Kind::Batch(..))).map(|e| e.span)
}
