//! The kernels, compiled by NVRTC and run: on an interpreter of the PTX everywhere, on a card where there
//! is one.
//!
//! Without NVRTC the tests that need it say so and pass, unless `PONENS_REQUIRE_NVRTC` is set, as in CI:
//! `scripts/fetch-nvrtc.sh` gets it.

mod bounded;
mod cache;
mod catalogue;
mod columns;
mod device;
mod head;
mod op;
mod random;
mod resources;
mod step;
mod stream;
mod support;
mod text;
mod whole;
