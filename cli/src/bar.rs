//! A bar while something is counted.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The bar; it draws nothing when it is not shown.
pub(crate) struct Bar {
    bar: ProgressBar,
}

impl Bar {
    /// A bar on standard error.
    pub(crate) fn new(what: &'static str, shown: bool) -> Self {
        let target =
            if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg} {eta}") {
            bar.set_style(style);
        }
        bar.set_message(what);
        Self { bar }
    }

    /// Moves the bar.
    pub(crate) fn set(&self, done: u64, all: u64) {
        self.bar.set_length(all);
        self.bar.set_position(done);
    }

    /// Removes the bar.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
