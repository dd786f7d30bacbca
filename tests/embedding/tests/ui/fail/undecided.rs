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

loss! {
    /// The slope by pi(w) is c(1 - c)(p - q)^2 for the weights p and q of the two equivalences: never
    /// negative, and 0 wherever they agree, which no finite number of boxes shows.
    #[ponens(monotone)]
    loss level() {
        data pair(w > l, a, b, c)
        model pi = policy
        model ref = reference
        prefer ref(w) <-> ref(l)
        given  ref(c) & ((ref(w) <-> ref(l)) xor (ref(a) <-> ref(b)))
        tie    ref(c) & (ref(w) <-> ref(l)) & (ref(a) <-> ref(b))
             | !ref(c) & (pi(w) & (ref(a) <-> ref(b)) | !pi(w) & (ref(w) <-> ref(l)))
        minimize logistic(rho)
    }
}

fn main() {}
