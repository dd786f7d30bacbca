//! Clipping by the norm of all gradients together ([`crate::model::Gradients::norm`]).

/// The factor that brings a gradient of this norm down to `limit`; 1 below it, and 1 without a limit.
pub fn clip_factor(norm: f64, limit: Option<f64>) -> f64 {
    match limit {
        Some(limit) if norm > limit => limit / norm,
        _ => 1.0,
    }
}
