use ponens_macros::loss;

loss! {
    loss outside(beta = 0.1 in >0..inf, epsilon = 0.5 in 0..0.5) {
        data pair(w > l)
        model pi = policy
        prefer pi(l) -> pi(w)
        minimize smooth(epsilon, logistic(beta * rho))
    }
}

loss!(r"loss text(beta = -1 in [0, inf)) {
    data pair(w > l)
    model pi = policy
    minimize beta * nll(pi, w)
}");

fn main() {}
