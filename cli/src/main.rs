//! The ponens command.
fn main() {}
