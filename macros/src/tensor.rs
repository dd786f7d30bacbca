//! The loss as an operation of candle.
//!
//! In: the generated arithmetic and the path of the crate. Out: `Tensors` and the method `tensor`. The
//! trained columns are stacked into one argument, because an operation of candle has three at most and no
//! gradient for anything beside them; what else the loss reads sits in the operation. Invariant: the values
//! and gradients are those of `value_and_gradient` in f64, whatever the tensors' type and device.

use crate::expand::docs_line;
use crate::types::Columns;
use ponens_compiler::codegen::rust::{Form, Module};
use ponens_compiler::session::Compiled;
use proc_macro2::{Ident, Literal, TokenStream};
use quote::quote;
use syn::Path;

/// The items of the operation.
pub(crate) fn tensor(
    compiled: &Compiled,
    module: &Module,
    name: &Ident,
    candle: &Path,
) -> TokenStream {
    let Columns { columns, outputs, .. } = Columns::of(module);
    let is_trained = |c: &String| module.roots.iter().any(|r| r.strip_prefix("d/") == Some(c));
    let which: Vec<bool> = module.columns.iter().map(is_trained).collect();
    let of = |wanted: bool| -> Vec<&Ident> {
        columns.iter().zip(&which).filter(|(_, w)| **w == wanted).map(|(c, _)| c).collect()
    };
    let (trained, given) = (of(true), of(false));
    // The gradients come in the order of the columns, as the arguments are stacked.
    let gradients: Vec<&Ident> = module
        .columns
        .iter()
        .filter_map(|c| {
            let root = module.roots.iter().position(|r| r.strip_prefix("d/") == Some(c))?;
            outputs.get(root)
        })
        .collect();
    let (count, givens) = (trained.len(), given.len());
    let places: Vec<Literal> = (0..givens).map(Literal::usize_unsuffixed).collect();
    let reads: Vec<TokenStream> =
        module.columns.iter().map(|c| docs_line(&format!("`{c}`, of shape `[E]`."))).collect();
    let operation_name = format!("ponens-{}", compiled.loss.name);
    let (about, scratch, argument, result, scale) = match module.form {
        Form::Example => (
            "The loss of every example, `[E]`, differentiable in the columns of the policy.",
            quote!(),
            quote!(),
            quote!((loss, #candle::Shape::from(examples))),
            quote!(by.broadcast_mul(incoming)),
        ),
        Form::Batch(_) => (
            "The mean loss of the batch, a scalar, differentiable in the columns of the policy.",
            quote! {
                let (mut values, mut order) =
                    (::std::vec![0.0; #name::SCRATCH * examples], ::std::vec![0; #name::ORDER * examples]);
            },
            quote!(, &mut Scratch { values: &mut values, order: &mut order }),
            quote! {
                let mean = loss.iter().sum::<f64>() / examples as f64;
                (::std::vec![mean], #candle::Shape::from(()))
            },
            quote!(by.broadcast_mul(&incoming.affine(1.0 / argument.dim(1)? as f64, 0.0)?)),
        ),
    };
    let about = docs_line(about);
    quote! {
        /// What the loss reads, as tensors of one length, type and device.
        #[derive(Clone, Copy, Debug)]
        pub struct Tensors<'a> {
            #(#reads pub #columns: &'a #candle::Tensor,)*
        }

        impl #name {
            #about
            ///
            /// Computed in f64 on the processor, whatever the type and device of the tensors; the result
            /// has the type and device of the first.
            ///
            /// # Errors
            /// The tensors differ in shape, are no vectors, or hold no example.
            pub fn tensor(&self, columns: Tensors<'_>) -> #candle::Result<#candle::Tensor> {
                let first = [#(columns.#trained),*][0];
                let examples = first.dims1()?;
                if examples == 0 {
                    #candle::bail!("a batch without examples");
                }
                let on_cpu = |t: &#candle::Tensor| {
                    t.to_device(&#candle::Device::Cpu)?.to_dtype(#candle::DType::F64)
                };
                let of_length = |t: &#candle::Tensor| {
                    let values = on_cpu(t)?.to_vec1::<f64>()?;
                    if values.len() == examples {
                        #candle::Result::Ok(values)
                    } else {
                        #candle::bail!("{} values for {examples} examples", values.len())
                    }
                };
                let given = [#(of_length(columns.#given)?),*];
                let operation = Operation { loss: *self, given };
                let stacked = #candle::Tensor::stack(&[#(on_cpu(columns.#trained)?),*], 0)?;
                stacked.contiguous()?.apply_op1(operation)?.to_dtype(first.dtype())?.to_device(first.device())
            }
        }

        /// The loss, with the columns that take no gradient.
        struct Operation {
            loss: #name,
            given: [::std::vec::Vec<f64>; #givens],
        }

        impl Operation {
            /// The losses, and the gradients column by column.
            fn run(
                &self,
                storage: &#candle::CpuStorage,
                layout: &#candle::Layout,
            ) -> #candle::Result<(::std::vec::Vec<f64>, ::std::vec::Vec<f64>)> {
                let stacked = match (storage, layout.contiguous_offsets()) {
                    (#candle::CpuStorage::F64(v), ::core::option::Option::Some((start, end))) => &v[start..end],
                    _ => #candle::bail!("the columns are not contiguous in f64"),
                };
                let examples = layout.dims()[1];
                let mut loss = ::std::vec![0.0; examples];
                let mut gradient = ::std::vec![0.0; #count * examples];
                #scratch
                let mut trained = stacked.chunks_exact(examples);
                let mut by = gradient.chunks_exact_mut(examples);
                let missing = || #candle::Error::Msg(::std::string::String::from("a column is missing"));
                let columns = Columns {
                    #(#trained: trained.next().ok_or_else(missing)?,)*
                    #(#given: &self.given[#places],)*
                };
                let mut out = Outputs {
                    loss: &mut loss,
                    #(#gradients: by.next().ok_or_else(missing)?,)*
                };
                self.loss
                    .value_and_gradient(columns, &mut out #argument)
                    .map_err(#candle::Error::wrap)?;
                ::core::result::Result::Ok((loss, gradient))
            }
        }

        impl #candle::CustomOp1 for Operation {
            fn name(&self) -> &'static str {
                #operation_name
            }

            fn cpu_fwd(
                &self,
                storage: &#candle::CpuStorage,
                layout: &#candle::Layout,
            ) -> #candle::Result<(#candle::CpuStorage, #candle::Shape)> {
                let examples = layout.dims()[1];
                let (loss, _) = self.run(storage, layout)?;
                let (loss, shape) = { #result };
                let _ = examples;
                ::core::result::Result::Ok((#candle::CpuStorage::F64(loss), shape))
            }

            fn bwd(
                &self,
                argument: &#candle::Tensor,
                _result: &#candle::Tensor,
                incoming: &#candle::Tensor,
            ) -> #candle::Result<::core::option::Option<#candle::Tensor>> {
                let gradient = {
                    let (storage, layout) = argument.storage_and_layout();
                    match &*storage {
                        #candle::Storage::Cpu(cpu) => self.run(cpu, layout)?.1,
                        _ => #candle::bail!("the columns are not on the processor"),
                    }
                };
                let by = #candle::Tensor::from_vec(gradient, argument.shape(), argument.device())?;
                ::core::result::Result::Ok(::core::option::Option::Some(#scale?))
            }
        }
    }
}
