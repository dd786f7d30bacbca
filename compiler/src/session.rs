//! The pipeline, readable on one screen.
