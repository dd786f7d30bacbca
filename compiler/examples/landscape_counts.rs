//! t
fn main() {
    for n in 2..=4 {
        let t = std::time::Instant::now();
        println!("{:?} {:?}", ponens_compiler::landscape::counts(n), t.elapsed());
    }
}
