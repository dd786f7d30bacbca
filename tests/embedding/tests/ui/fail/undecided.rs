//! What cannot be decided is no pass.

use ponens_macros::loss;

loss! {
    #[ponens(equals = "wide", gradient_in_f32)]
    loss narrow(beta in >0..inf) {
        data pair(w > l, a, b)
        model pi = policy
        prefer pi(l) -> pi(w)
        minimize logistic(beta * rho)
    }

    loss wide() {
        data pair(w > l, a, b)
        model pi = policy
        model ref = reference
        prefer pi(l) & ref(w) & pi(a) & ref(b) -> pi(w) & ref(l)
        minimize logistic(rho)
    }
}

fn main() {}
