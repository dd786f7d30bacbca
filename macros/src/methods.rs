//! The methods that evaluate a loss.
//!
//! In: the generated arithmetic. Out: for losses of one example `example` and the loop over slices, for
//! losses of a batch the function over slices with scratch. Invariant: lengths are checked before anything
//! is written, and nothing is allocated.

use crate::expand::{docs_line, ident};
use crate::types::Columns;
use ponens_compiler::codegen::rust::{Float, Form, Module};
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

/// The methods for one float type.
pub(crate) fn methods(module: &Module, float: Float, params: &[Ident]) -> TokenStream {
    let Columns { columns, outputs, positions } = Columns::of(module);
    let t = ident(float.keyword());
    let (arithmetic, one, many) = match float {
        Float::F64 => ("double", "example", "value_and_gradient"),
        Float::F32 => ("single", "example_f32", "value_and_gradient_f32"),
    };
    let [arithmetic, one, many] = [arithmetic, one, many].map(ident);
    let kinds = docs_line(&format!(
        "Value and gradients of every example in {t}, into the slices of `out`."
    ));
    let column_names = &module.columns;
    // The first is the loss itself, whose length is the measure.
    let others: Vec<&Ident> = outputs.iter().skip(1).collect();
    let output_names: Vec<String> = others.iter().map(ToString::to_string).collect();
    let checks = quote! {
        let examples = out.loss.len();
        #(WrongLength::check(#column_names, examples, columns.#columns.len())?;)*
        #(WrongLength::check(#output_names, examples, out.#others.len())?;)*
    };
    let plan = match &module.form {
        Form::Example => {
            let crowded = (columns.len() > 6).then(|| quote!(#[allow(clippy::too_many_arguments)]));
            let kind = docs_line(&format!("Value and gradients of one example in {t}."));
            // Names of their own, because a column may be called anything.
            let numbered = |prefix: &str, count: usize| -> Vec<Ident> {
                (0..count).map(|i| format_ident!("{prefix}{i}")).collect()
            };
            let (reads, writes) = (numbered("c", columns.len()), numbered("o", outputs.len()));
            let first = &writes[0];
            return quote! {
                #kind
                #[inline]
                #[must_use]
                #crowded
                pub fn #one(&self, #(#columns: #t),*) -> Example<#t> {
                    let uniform = #arithmetic::uniform(#(self.#params),*);
                    let values = #arithmetic::example(&uniform, #(#columns),*);
                    Example { #(#outputs: values[#positions]),* }
                }

                #kinds
                ///
                /// What depends on the parameters alone is computed once. Nothing is allocated.
                ///
                /// # Errors
                /// The slices differ in length; nothing is written then.
                #[allow(clippy::needless_range_loop)]
                pub fn #many(
                    &self,
                    columns: Columns<'_, #t>,
                    out: &mut Outputs<'_, #t>,
                ) -> ::core::result::Result<(), WrongLength> {
                    // Slices that are arguments are known not to overlap.
                    #[inline]
                    #[allow(clippy::too_many_arguments)]
                    fn every(
                        uniform: &#arithmetic::Uniform,
                        #(#reads: &[#t],)*
                        #(#writes: &mut [#t],)*
                    ) {
                        let examples = #first.len();
                        #(let #reads = &#reads[..examples];)*
                        #(let #writes = &mut #writes[..examples];)*
                        for i in 0..examples {
                            let values = #arithmetic::example(uniform, #(#reads[i]),*);
                            #(#writes[i] = values[#positions];)*
                        }
                    }
                    #checks
                    let uniform = #arithmetic::uniform(#(self.#params),*);
                    every(&uniform, #(columns.#columns,)* #(out.#outputs),*);
                    ::core::result::Result::Ok(())
                }
            };
        }
        Form::Batch(plan) => plan,
    };
    let (numbers, indices) = (plan.scratch(), usize::from(plan.sorts()));
    let sizes = (float == Float::F64).then(|| {
        quote! {
            /// The numbers of scratch that one example of a batch needs.
            pub const SCRATCH: usize = #numbers;
            /// The indices of scratch that one example of a batch needs.
            pub const ORDER: usize = #indices;
        }
    });
    quote! {
        #sizes

        #kinds
        ///
        /// The examples depend on each other: the slices are one batch. A loss that they have in common
        /// stands at every example. Nothing is allocated.
        ///
        /// # Errors
        /// The slices differ in length, or the scratch is too short; nothing is written then.
        pub fn #many(
            &self,
            columns: Columns<'_, #t>,
            out: &mut Outputs<'_, #t>,
            scratch: &mut Scratch<'_, #t>,
        ) -> ::core::result::Result<(), WrongLength> {
            #checks
            let (numbers, indices) = (Self::SCRATCH * examples, Self::ORDER * examples);
            WrongLength::at_least("scratch.values", numbers, scratch.values.len())?;
            WrongLength::at_least("scratch.order", indices, scratch.order.len())?;
            #arithmetic::batch(
                &#arithmetic::uniform(#(self.#params),*),
                [#(columns.#columns),*],
                [#(&mut *out.#outputs),*],
                &mut scratch.values[..numbers],
                &mut scratch.order[..indices],
            );
            ::core::result::Result::Ok(())
        }
    }
}
