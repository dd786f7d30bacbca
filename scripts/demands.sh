#!/usr/bin/env bash
# Holds all 187 distinct two-atom losses, the lattice and its reference versions to the accuracy that is asked of
# them (compiler/src/circuit/demand.rs), and prints how many meet the strict demand and which do not.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo test --quiet -p ponens-compiler --lib -- --ignored --nocapture every_structure_meets_the_demand
