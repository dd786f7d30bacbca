//! From a compiled loss to Rust items.
//!
//! In: what the compiler derived. Out: a module with a struct named after the loss, the types that its
//! methods speak of, and the two private modules of arithmetic. Invariant: the items name nothing but
//! `core` and the methods of `f64` and `f32`.

use crate::claim::Attributes;
use crate::methods::methods;
use crate::page::page;
use crate::tensor::tensor;
use crate::types::{TYPES, types};
use ponens_compiler::codegen::rust::{
    self, Float, Module, Names, Refused, snake_case, upper_camel_case,
};
use ponens_compiler::explain::{self, CoreText};
use ponens_compiler::hir::Program;
use ponens_compiler::mir::infix::infix;
use ponens_compiler::mir::{Interval, Param};
use ponens_compiler::session::Compiled;
use ponens_dsl::ast::Item;
use ponens_dsl::print;
use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{format_ident, quote};
use syn::{LitStr, Visibility};

/// What the call chooses.
pub(crate) struct Style<'a> {
    /// The name of the struct, which is the loss's own in upper camel case where none is given; further
    /// items.
    pub(crate) attributes: &'a Attributes,
    /// Who may use it.
    pub(crate) visibility: Option<&'a Visibility>,
    /// The canonical text of the loss.
    pub(crate) text: Option<&'a str>,
}

/// The canonical text of a loss that the program has read.
pub(crate) fn canonical(program: &Program, name: &str) -> Option<String> {
    let mut items = program.files().iter().flat_map(|f| &f.items);
    let named = items.find(|i| match i {
        Item::Loss(l) => l.name.text == name,
        Item::Variant(v) => v.name.text == name,
        Item::Function(_) => false,
    });
    named.map(print::item)
}

/// Methods and associated functions of every struct.
const METHODS: &[&str] = &[
    "new",
    "default",
    "example",
    "example_f32",
    "value_and_gradient",
    "value_and_gradient_f32",
    "tensor",
    "clone",
    "eq",
    "ne",
    "fmt",
];

/// The struct of a loss, apart from the types beside it.
fn struct_name(loss: &str) -> String {
    let name = upper_camel_case(loss);
    if TYPES.contains(&name.as_str()) { name + "Loss" } else { name }
}

/// The module of a loss; a crate that is always in sight would make its name ambiguous.
fn module_name(name: &str) -> String {
    let name = snake_case(name);
    if ["core", "std", "alloc"].contains(&name.as_str()) { name + "_" } else { name }
}

/// The module of a loss and the `use` of its struct.
pub(crate) fn module(compiled: &Compiled, style: &Style<'_>) -> Result<TokenStream, Refused> {
    let graph = compiled.graph();
    let wide = rust::emit(graph, Float::F64)?;
    let narrow = rust::emit(graph, Float::F32)?;
    let loss = &compiled.loss;
    let chosen = style.attributes.name.as_ref().map(LitStr::value);
    let module = ident(&module_name(chosen.as_ref().unwrap_or(&loss.name)));
    let name = ident(&chosen.unwrap_or_else(|| struct_name(&loss.name)));
    let visibility = style.visibility;
    let found = explain::structure(loss).ok().map(|f| f.structure);
    let core = found.as_ref().map(explain::core_text);
    let rows = found.as_ref().map_or_else(Vec::new, explain::table);
    let value = &compiled.value.graph;
    let formula = value.roots.first().map_or_else(String::new, |r| infix(value, r.node));
    let docs = docs(&page(compiled, &formula, core.as_ref(), &rows));
    let module_docs = docs_line(&format!("Generated from the loss `{}`.", loss.name));

    let mut fields = Names::without(METHODS);
    let params: Vec<Ident> = loss.params.iter().map(|p| ident(&fields.of(&p.name))).collect();
    let parts = Parts { compiled, name: &name, params: &params };
    let constants = parts.constants(&wide, &formula, core.as_ref(), style.text);
    let types = types(&wide);
    let parameters = parts.parameters();
    let double = methods(&wide, Float::F64, &params);
    let single = methods(&narrow, Float::F32, &params);
    let tensor = style.attributes.candle.as_ref().map(|path| tensor(compiled, &wide, &name, path));
    let (wide, narrow) = (tokens(&wide.text), tokens(&narrow.text));
    let libm = |float| style.attributes.libm.then(|| tokens(&libm(float)));
    let (wide_math, narrow_math) = (libm(Float::F64), libm(Float::F32));
    Ok(quote! {
        #module_docs
        #[allow(dead_code, unreachable_pub, clippy::approx_constant)]
        #visibility mod #module {
            #docs
            #[derive(Clone, Copy, Debug, PartialEq)]
            pub struct #name { #(#params: f64,)* }

            impl #name { #constants }

            #parameters

            impl #name {
                #double
                #single
            }

            #types

            #tensor

            /// The arithmetic in f64.
            mod double { #wide_math #wide }
            /// The arithmetic in f32.
            mod single { #narrow_math #narrow }
        }
        #[allow(unused_imports)]
        #visibility use #module::#name;
    })
}

pub(crate) fn ident(name: &str) -> Ident {
    Ident::new(name, Span::call_site())
}

/// Source text as tokens.
fn tokens(text: &str) -> TokenStream {
    text.parse()
        .unwrap_or_else(|_| quote!(::core::compile_error!("the generated code has no tokens");))
}

/// The functions that `core` lacks, from the crate `libm`. Where `std` is linked its own methods come
/// first.
fn libm(float: Float) -> String {
    let t = float.keyword();
    let suffix = if float == Float::F32 { "f" } else { "" };
    let mut out = format!("trait Libm {{ fn powf(self, b: {t}) -> {t};");
    let functions = [("exp", "exp"), ("ln", "log"), ("ln_1p", "log1p"), ("exp_m1", "expm1")];
    for (method, _) in functions {
        out += &format!("fn {method}(self) -> {t};");
    }
    out += &format!(
        "}} impl Libm for {t} {{ #[inline] fn powf(self, b: {t}) -> {t} {{ ::libm::pow{suffix}(self, b) }}"
    );
    for (method, function) in functions {
        out +=
            &format!("#[inline] fn {method}(self) -> {t} {{ ::libm::{function}{suffix}(self) }}");
    }
    out + "}"
}

fn docs(text: &str) -> TokenStream {
    text.lines().map(docs_line).collect()
}

pub(crate) fn docs_line(line: &str) -> TokenStream {
    let line = if line.is_empty() { String::new() } else { format!(" {line}") };
    quote!(#[doc = #line])
}

/// An optional text as an expression.
fn option(text: Option<String>) -> TokenStream {
    match text {
        Some(t) => quote!(::core::option::Option::Some(#t)),
        None => quote!(::core::option::Option::None),
    }
}

struct Parts<'a> {
    compiled: &'a Compiled,
    name: &'a Ident,
    params: &'a [Ident],
}

impl Parts<'_> {
    fn constants(
        &self,
        module: &Module,
        formula: &str,
        core: Option<&CoreText>,
        text: Option<&str>,
    ) -> TokenStream {
        let name = &self.compiled.loss.name;
        let source = option(self.compiled.loss.source());
        let text = text.unwrap_or("");
        let columns = &module.columns;
        let core = match core {
            None => quote!(::core::option::Option::None),
            Some(CoreText { p, given, tie }) => quote! {
                ::core::option::Option::Some(Core { prefer: #p, given: #given, tie: #tie })
            },
        };
        quote! {
            /// The name of the loss.
            pub const NAME: &'static str = #name;
            /// The paper that its documentation names.
            pub const SOURCE: ::core::option::Option<&'static str> = #source;
            /// Its definition in canonical form.
            pub const TEXT: &'static str = #text;
            /// The loss of one example in its stable form.
            pub const FORMULA: &'static str = #formula;
            /// Its logical core, if it has one.
            pub const CORE: ::core::option::Option<Core> = #core;
            /// The canonical names of the columns, in the order of the arguments.
            pub const COLUMNS: &'static [&'static str] = &[#(#columns),*];
        }
    }

    /// Construction, setters, getters and defaults of the parameters.
    fn parameters(&self) -> TokenStream {
        let (name, params) = (self.name, self.params);
        let declared = &self.compiled.loss.params;
        let defaults: Option<Vec<TokenStream>> =
            declared.iter().map(|p| p.default.map(number)).collect();
        let default = defaults.map(|values| {
            quote! {
                impl ::core::default::Default for #name {
                    /// The defaults of the loss text.
                    fn default() -> Self { Self { #(#params: #values,)* } }
                }
            }
        });
        if declared.is_empty() {
            return quote!(#default);
        }
        let checks: Vec<TokenStream> =
            declared.iter().zip(params).map(|(p, i)| check(p, i)).collect();
        let accessors = declared.iter().zip(params).zip(&checks).map(|((p, i), check)| {
            let setter = format_ident!("with_{}", i.to_string().trim_end_matches('_'));
            let or = p.default.map_or_else(String::new, |d| format!("; {d} by default"));
            let set = docs_line(&format!("Sets `{}`, which lies in `{}`.", p.name, p.range));
            let get = docs_line(&format!("`{}`, in `{}`{or}.", p.name, p.range));
            quote! {
                #set
                ///
                /// # Errors
                /// The value lies outside.
                pub fn #setter(mut self, #i: f64) -> ::core::result::Result<Self, OutOfRange> {
                    #check
                    self.#i = #i;
                    ::core::result::Result::Ok(self)
                }

                #get
                #[must_use]
                pub const fn #i(&self) -> f64 { self.#i }
            }
        });
        let many = (params.len() > 7).then(|| quote!(#[allow(clippy::too_many_arguments)]));
        quote! {
            impl #name {
                /// The loss with these parameters.
                ///
                /// # Errors
                /// One of them lies outside its range.
                #many
                pub fn new(#(#params: f64),*) -> ::core::result::Result<Self, OutOfRange> {
                    #(#checks)*
                    ::core::result::Result::Ok(Self { #(#params),* })
                }
                #(#accessors)*
            }

            #default

            /// A parameter outside its range.
            #[derive(Clone, Copy, Debug, PartialEq)]
            pub struct OutOfRange {
                /// The name of the parameter.
                pub parameter: &'static str,
                /// The value refused.
                pub value: f64,
                /// The values allowed.
                pub range: &'static str,
            }

            impl ::core::fmt::Display for OutOfRange {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    ::core::write!(f, "{} = {} lies outside {}", self.parameter, self.value, self.range)
                }
            }

            impl ::core::error::Error for OutOfRange {}
        }
    }
}

/// A finite number; the minus is an operator of its own.
fn number(x: f64) -> TokenStream {
    // An end of a range may be infinite; it is not printed then.
    let x = if x.is_finite() { x } else { 0.0 };
    let size = Literal::f64_suffixed(x.abs());
    if x.is_sign_negative() { quote!(-#size) } else { quote!(#size) }
}

/// Returns from the function when a parameter is outside its range.
fn check(p: &Param, value: &Ident) -> TokenStream {
    let Interval { lo, hi, lo_open, hi_open } = p.range;
    let mut conditions = vec![quote!(!#value.is_finite())];
    let (below, above) = (number(lo), number(hi));
    match (lo.is_finite() && !lo_open, hi.is_finite(), hi_open) {
        (true, true, false) => conditions.push(quote!(!(#below..=#above).contains(&#value))),
        (true, true, true) => conditions.push(quote!(!(#below..#above).contains(&#value))),
        (closed, bounded, _) => {
            if closed {
                conditions.push(quote!(#value < #below));
            } else if lo.is_finite() {
                conditions.push(quote!(#value <= #below));
            }
            if bounded {
                conditions.push(if hi_open {
                    quote!(#value >= #above)
                } else {
                    quote!(#value > #above)
                });
            }
        }
    }
    let (name, range) = (&p.name, p.range.to_string());
    quote! {
        if #(#conditions)||* {
            return ::core::result::Result::Err(OutOfRange {
                parameter: #name,
                value: #value,
                range: #range,
            });
        }
    }
}
