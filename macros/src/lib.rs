//! (in the making)

mod claim;
mod expand;
#[cfg(test)]
mod expand_tests;
mod generate;
mod input;
mod page;
mod report;
mod text;

use proc_macro::TokenStream;
use std::path::PathBuf;

/// Writes one or more losses in the source file.
#[proc_macro]
pub fn loss(input: TokenStream) -> TokenStream {
    generate::loss(input.into()).unwrap_or_else(|e| e.to_compile_error()).into()
}

/// Compiles the losses of a file.
#[proc_macro]
pub fn include_loss(input: TokenStream) -> TokenStream {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default());
    generate::include(input.into(), &root).unwrap_or_else(|e| e.to_compile_error()).into()
}

/// Compiles a loss of the catalogue.
#[proc_macro]
pub fn catalogue_loss(input: TokenStream) -> TokenStream {
    generate::catalogue(input.into()).unwrap_or_else(|e| e.to_compile_error()).into()
}
