use ponens_macros::{catalogue_loss, include_loss, loss};

loss! {
    loss unknown(beta = 0.1 in >0..inf) {
        data pair(w > l)
        model pi = policy
        prefer pi(l) -> pi(w)
        minimize logistic(betta * rho) + nll(pj, w)
    }
}

catalogue_loss!(dpoo);

include_loss!("no/such/file.loss");

fn main() {}
