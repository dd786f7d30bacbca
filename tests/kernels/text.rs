//! The generated text that people read.

use ponens_compiler::codegen::cuda::{self, Element, example, prelude};
use ponens_compiler::lir;
use ponens_compiler::session::Options;

#[test]
fn the_generated_part_is_readable() {
    for name in ["dpo", "kto", "aot", "tdpo1"] {
        let compiled = ponens_losses::compile(name, &Options::default()).expect("a loss");
        let plan = lir::plan(compiled.graph()).expect("a plan");
        insta::assert_snapshot!(format!("{name}.lir"), plan.to_string());
        insta::assert_snapshot!(format!("{name}.cu"), example::emit(&plan));
        let program = cuda::emit(&plan, &[Element::Bf16]);
        let common = prelude();
        assert!(program.contains(&common));
        if name == "tdpo1" {
            insta::assert_snapshot!("tdpo1.program", program.replace(&common, "// ...\n"));
        }
    }
}
