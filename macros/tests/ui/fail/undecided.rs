//! What cannot be decided within the bounds is no pass.

use ponens_macros::loss;

loss! {
    #[ponens(equals = "wide", entails = "wide", gradient_in_f32)]
    loss narrow(beta in >0..inf) {
        data pair(w > l, a, b, c, d, e)
        model pi = policy
        prefer pi(l) & pi(a) & pi(b) & pi(c) & pi(d) & pi(e) -> pi(w)
        minimize logistic(beta * rho)
    }

    loss wide() {
        data pair(w > l, a, b, c, d, e)
        model pi = policy
        model ref = reference
        prefer pi(l) & ref(w) & ref(a) & ref(b) & ref(c) & ref(d) & ref(e) -> pi(w) & ref(l)
        minimize logistic(rho)
    }
}

fn main() {}
