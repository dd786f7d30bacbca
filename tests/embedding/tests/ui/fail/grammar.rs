use ponens_macros::loss;

loss! {
    /// Two slips in one loss.
    loss slips(beta = 0.1 in >0..inf) {
        data pair(w > l)
        model pi = policy
        model ref = reference
        rho = log(pi(w) * ref(l) / (pi(l) ** ref(w)))
        minimise logistic(beta * rho)
    }
}

fn main() {}
