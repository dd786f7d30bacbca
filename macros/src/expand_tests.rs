//! What three losses become.

use crate::generate;
use std::str::FromStr;

fn expanded(name: &str) -> String {
    let input = proc_macro2::TokenStream::from_str(name).expect("tokens");
    let tokens = generate::catalogue(input).unwrap_or_else(|e| panic!("{name}: {e}"));
    prettyplease::unparse(&syn::parse2(tokens).expect("items"))
}

#[test]
fn dpo() {
    insta::assert_snapshot!(expanded("pub dpo"));
}

#[test]
fn orpo() {
    insta::assert_snapshot!(expanded("#[ponens(name = \"OddsRatio\")] orpo"));
}

/// No parameters but one, four atoms, ties.
#[test]
fn cpo_ref() {
    insta::assert_snapshot!(expanded("pub(crate) lattice.CPO_ref"));
}
