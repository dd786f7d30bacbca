//! The commands about models: `train`, `score`, `data`, `report`, `generate`.

#[path = "../common/mod.rs"]
mod common;
mod curriculum;
mod laboratory;
mod misfit;
mod nested;
mod refused;
mod resumed;
mod tiny;
