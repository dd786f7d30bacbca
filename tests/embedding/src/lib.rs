//! Losses in a crate without `std`: what they name beside `core` comes from `libm`.
#![no_std]

use ponens_macros::catalogue_loss;

catalogue_loss!(#[ponens(libm)] pub dpo);
catalogue_loss!(#[ponens(libm)] pub orpo);
catalogue_loss!(#[ponens(libm)] pub simpo);
// Coupled by its batch: a sort, in scratch that the caller gives.
catalogue_loss!(#[ponens(libm)] pub aot);
