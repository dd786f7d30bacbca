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
    /// The slope by pi(w) is a(1 - a)(p - q)^2, with p the weight of `none of them` and q that of `w or l, not
    /// both`: never negative, and 0 on a surface, which no finite number of boxes shows.
    #[ponens(monotone)]
    loss level() {
        data pair(w > l, a, b)
        model pi = policy
        model ref = reference
        prefer !ref(w) & !ref(l) & !ref(b)
        given  ref(a) & ((ref(w) xor ref(l)) | !ref(w) & !ref(l) & !ref(b))
             | !ref(a) & (pi(w) & (ref(w) xor ref(l)) | !pi(w) & !ref(w) & !ref(l) & !ref(b))
        tie    !ref(a)
        minimize logistic(rho)
    }
}

fn main() {}
