use ponens_macros::{catalogue_loss, loss};

catalogue_loss!(#[ponens(name = "Outputs")] dpo);

catalogue_loss!(#[ponens(equals = 3)] dpo);

catalogue_loss!(#[ponens(candle)] dpo);

loss! {
    #[inline]
    loss decorated() {
        data pair(w > l)
        model pi = policy
        minimize nll(pi, w)
    }
}

fn main() {}
