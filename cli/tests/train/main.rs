//! The commands about models: `train`, `score`, `data`, `report`, `generate`.

#[path = "../common/mod.rs"]
mod common;
mod laboratory;
mod refused;
