//! What rustc says about good and bad uses.

#[test]
fn errors_stand_at_the_offending_token() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.compile_fail("tests/ui/fail/*.rs");
}
