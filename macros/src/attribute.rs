//! What a `#[ponens(..)]` attribute says: the Rust name of a loss, options, and claims.

use proc_macro2::Span;
use syn::parse::ParseStream;
use syn::{Attribute, LitStr, Path, Token};

/// One claim and where it stands.
pub(crate) enum Claim {
    /// The same rho as another loss's.
    Equals(LitStr),
    /// rho nowhere above another loss's, by containment of rows.
    Entails(LitStr),
    /// rho nowhere falls with the winner nor rises with the loser.
    Monotone(Span),
    /// The gradient survives f32 on responses of usual length.
    GradientInF32(Span),
}

/// The contents of the `#[ponens(..)]` attributes of one loss.
#[derive(Default)]
pub(crate) struct Attributes {
    /// The name of the generated struct.
    pub(crate) name: Option<LitStr>,
    /// The claims in order.
    pub(crate) claims: Vec<Claim>,
    /// The crate whose tensors the loss is to take.
    pub(crate) candle: Option<Path>,
    /// The functions that `core` lacks come from the crate `libm`.
    pub(crate) libm: bool,
}

/// The crate that the feature `candle` speaks of.
fn candle(input: ParseStream<'_>, span: Span) -> syn::Result<Path> {
    if !cfg!(feature = "candle") {
        let text = "the feature `candle` of `ponens-macros` is off\n\
                    help: write `ponens-macros = { .., features = [\"candle\"] }` into Cargo.toml";
        return Err(syn::Error::new(span, text));
    }
    if input.peek(Token![=]) {
        input.parse::<Token![=]>()?;
        return input.parse::<LitStr>()?.parse();
    }
    Ok(syn::parse_quote!(::candle_core))
}

impl Attributes {
    /// True if nothing is said that only one loss can bear.
    pub(crate) fn is_empty(&self) -> bool {
        self.name.is_none() && self.claims.is_empty() && self.candle.is_none() && !self.libm
    }

    /// Reads one `#[ponens(..)]`.
    pub(crate) fn read(&mut self, attribute: &Attribute) -> syn::Result<()> {
        attribute.parse_nested_meta(|meta| {
            let span = meta.path.get_ident().map_or_else(Span::call_site, |i| i.span());
            match meta.path.get_ident().map(ToString::to_string).as_deref() {
                Some("name") => {
                    let name: LitStr = meta.value()?.parse()?;
                    if syn::parse_str::<syn::Ident>(&name.value()).is_err() {
                        return Err(syn::Error::new(name.span(), "this is no name for a struct"));
                    }
                    if crate::types::TYPES.contains(&name.value().as_str()) {
                        let text = "a type of the generated module has this name";
                        return Err(syn::Error::new(name.span(), text));
                    }
                    self.name = Some(name);
                }
                Some("equals") => self.claims.push(Claim::Equals(meta.value()?.parse()?)),
                Some("entails") => self.claims.push(Claim::Entails(meta.value()?.parse()?)),
                Some("monotone") => self.claims.push(Claim::Monotone(span)),
                Some("candle") => self.candle = Some(candle(meta.input, span)?),
                Some("libm") => self.libm = true,
                Some("gradient_in_f32") => self.claims.push(Claim::GradientInF32(span)),
                _ => {
                    return Err(meta.error(
                        "expected `name = \"..\"`, `equals = \"LOSS\"`, `entails = \"LOSS\"`, \
                         `monotone`, `gradient_in_f32`, `candle` or `libm`",
                    ));
                }
            }
            Ok(())
        })
    }
}
