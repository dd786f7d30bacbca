//! Interpreters: the oracle of every later test.

pub mod primitive;
