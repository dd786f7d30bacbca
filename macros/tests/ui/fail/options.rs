use ponens_macros::{catalogue_loss, include_loss, loss};

catalogue_loss!(#[ponens(name = "Outputs")] dpo);

catalogue_loss!(#[ponens(equals = 3)] dpo);

include_loss!(#[ponens(monotone)] "tests/losses/hinged.loss");

loss! {
    #[inline]
    loss decorated() {
        data pair(w > l)
        model pi = policy
        minimize nll(pi, w)
    }
}

fn main() {}
