//! The types beside the struct of a loss: what its methods read and say.
//!
//! In: the generated arithmetic's columns and results. Out: struct definitions. Invariant: a column or
//! result has one identifier, the same here and in the methods.

use crate::expand::{docs_line, ident};
use ponens_compiler::codegen::rust::{Form, Module, Names};
use proc_macro2::{Ident, Literal, TokenStream};
use quote::quote;

/// Types that stand beside the struct.
pub(crate) const TYPES: &[&str] =
    &["Core", "Example", "Columns", "Outputs", "Scratch", "Tensors", "OutOfRange", "WrongLength"];

/// The identifiers of columns and results.
pub(crate) struct Columns {
    pub(crate) columns: Vec<Ident>,
    pub(crate) outputs: Vec<Ident>,
    pub(crate) positions: Vec<Literal>,
}

impl Columns {
    pub(crate) fn of(module: &Module) -> Self {
        let (mut names, mut results) = (Names::default(), Names::default());
        let columns = module.columns.iter().map(|c| ident(&names.of(c))).collect();
        let outputs = module.roots.iter().map(|r| ident(&results.of(r))).collect();
        let positions = (0..module.roots.len()).map(Literal::usize_unsuffixed).collect();
        Self { columns, outputs, positions }
    }
}

/// The types that the methods speak of.
pub(crate) fn types(module: &Module) -> TokenStream {
    let Columns { columns, outputs, .. } = Columns::of(module);
    let reads: Vec<TokenStream> = module
        .columns
        .iter()
        .map(|c| docs_line(&format!("`{c}`, one value an example.")))
        .collect();
    let sum = match module.form {
        Form::Example => "",
        Form::Batch(_) => " of the sum of the losses",
    };
    let says: Vec<TokenStream> = module
        .roots
        .iter()
        .map(|r| match r.strip_prefix("d/") {
            Some(c) => docs_line(&format!("The derivative{sum} by `{c}`.")),
            None => docs_line("The loss."),
        })
        .collect();
    let one = match module.form {
        Form::Example => quote! {
            /// Value and gradients of one example.
            #[derive(Clone, Copy, Debug, PartialEq)]
            pub struct Example<T = f64> {
                #(#says pub #outputs: T,)*
            }
        },
        Form::Batch(_) => quote! {
            /// Memory for one batch; what is in it before does not matter.
            #[derive(Debug, PartialEq)]
            pub struct Scratch<'a, T = f64> {
                /// `SCRATCH` numbers an example.
                pub values: &'a mut [T],
                /// `ORDER` indices an example.
                pub order: &'a mut [usize],
            }

            impl WrongLength {
                fn at_least(
                    name: &'static str,
                    expected: usize,
                    given: usize,
                ) -> ::core::result::Result<(), Self> {
                    Self::check(name, expected, given.min(expected))
                        .map_err(|e| Self { given, ..e })
                }
            }
        },
    };
    quote! {
        /// A logical core: preferred rows, rows that count, rows that count on both sides.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Core {
            /// The formula of `prefer`.
            pub prefer: &'static str,
            /// The formula of `given`.
            pub given: &'static str,
            /// The formula of `tie`.
            pub tie: &'static str,
        }

        #one

        /// What the loss reads.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct Columns<'a, T = f64> {
            #(#reads pub #columns: &'a [T],)*
        }

        /// Where the results go, one value an example.
        #[derive(Debug, PartialEq)]
        pub struct Outputs<'a, T = f64> {
            #(#says pub #outputs: &'a mut [T],)*
        }

        /// A slice that is not as long as it must be.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct WrongLength {
            /// The column or result.
            pub name: &'static str,
            /// The length wanted: that of the losses.
            pub expected: usize,
            /// The length of the slice.
            pub given: usize,
        }

        impl WrongLength {
            fn check(
                name: &'static str,
                expected: usize,
                given: usize,
            ) -> ::core::result::Result<(), Self> {
                if given == expected {
                    ::core::result::Result::Ok(())
                } else {
                    ::core::result::Result::Err(Self { name, expected, given })
                }
            }
        }

        impl ::core::fmt::Display for WrongLength {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                let Self { name, expected, given } = self;
                ::core::write!(f, "`{name}` has {given} values where {expected} are wanted")
            }
        }

        impl ::core::error::Error for WrongLength {}
    }
}
