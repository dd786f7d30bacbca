use ponens_macros::{catalogue_loss, loss};

catalogue_loss!(#[ponens(equals = "lattice.ORPO")] lattice.CPO);

catalogue_loss!(#[ponens(entails = "lattice.CE", gradient_in_f32)] lattice.unCPO);

loss! {
    #[ponens(monotone)]
    loss backwards() {
        data pair(w > l)
        model pi = policy
        prefer pi(w) -> pi(l)
        minimize logistic(rho)
    }
}

loss! {
    #[ponens(equals = "dpo", strictly = "monotone")]
    loss said() {
        data pair(w > l)
        model pi = policy
        minimize nll(pi, w)
    }
}

fn main() {}
