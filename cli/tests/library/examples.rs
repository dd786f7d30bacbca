//! The programs of `examples/` run to their end, and each judges its own result.

#[path = "../../../examples/comparison.rs"]
mod comparison;
#[path = "../../../examples/from_file.rs"]
mod from_file;
#[path = "../../../examples/own_model.rs"]
mod own_model;
#[path = "../../../examples/toy.rs"]
mod toy;

#[test]
fn a_loss_in_the_source_trains_a_toy() {
    toy::main().expect("the toy learns");
}

#[test]
fn a_loss_from_a_file_is_read_and_run() {
    from_file::main().expect("the file is read and the misspelt one refused");
}

#[test]
fn losses_are_compared() {
    comparison::main().expect("the known order");
}

#[test]
fn an_own_model_learns_by_a_catalogue_loss() {
    own_model::main().expect("the model learns");
}
