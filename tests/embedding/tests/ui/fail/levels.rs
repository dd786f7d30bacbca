use ponens_macros::loss;

loss! {
    loss mixed(beta = 0.1 in >0..inf) {
        data pair(w > l)
        model pi = policy
        let once = batch_mean(batch_mean(logp(pi, w)))
        minimize logistic(beta * (logp(pi, w) - l)) + once
    }
}

fn main() {}
