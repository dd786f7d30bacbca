use ponens_macros::{catalogue_loss, loss};

loss! {
    import "other.loss";
    loss coupled() {
        data pair(w > l)
        model pi = policy
        minimize nll(pi, w)
    }
}

loss! {
    loss coupled() {
        data pair(w > l)
        model pi = policy
        minimize nll(pi, w) * stop_gradient(batch_mean(logp(pi, l)))
    }
}

catalogue_loss!(aot);

fn main() {}
