//! Interpreters: the oracle of every later test.
