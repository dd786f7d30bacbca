use ponens_macros::loss;

loss! {
    import "other.loss";
    loss single() {
        data pair(w > l)
        model pi = policy
        minimize nll(pi, w)
    }
}

fn main() {}
