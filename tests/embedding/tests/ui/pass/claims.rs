//! Claims that hold, several losses in one call, and what Rust may add.

use ponens_macros::{catalogue_loss, loss};

loss! {
    /// DPO, from its logic.
    #[ponens(equals = "dpo", monotone, gradient_in_f32)]
    pub(crate) loss logical(beta = 0.1 in >0..inf) {
        data pair(better > worse)
        model p = policy
        model q = reference
        prefer p(worse) & q(better) -> p(better) & q(worse)
        given  (p(worse) & q(better)) | (p(better) & q(worse))
        tie    p(worse) & q(better) & p(better) & q(worse)
        minimize logistic(beta * rho)
    }

    #[ponens(name = "Gentle", entails = "lattice.unCPO")]
    loss derived = lattice.CPO with { beta = 0.5 }
}

catalogue_loss!(#[ponens(entails = "lattice.cCPO")] pub lattice.CE);

fn main() {
    catalogue_loss!(simpo);
    let value = Logical::default().example(-1.0, -2.0, -1.5, -1.5).loss;
    assert!(value < core::f64::consts::LN_2);
    assert_eq!(Gentle::default().beta(), 0.5);
    assert!(Simpo::default().example_f32(-1.0, -2.0).loss > 0.0);
    let _ = LatticeCE::default();
}
