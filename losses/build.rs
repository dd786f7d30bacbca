//! Lists the files of the catalogue, so that adding a loss is adding a file.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=catalogue");
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("catalogue");
    let mut files = Vec::new();
    for family in fs::read_dir(&root)? {
        let family = family?.path();
        for file in fs::read_dir(&family)? {
            let file = file?.path();
            if file.extension().is_some_and(|e| e == "loss") {
                files.push(file);
            }
        }
    }
    files.sort();
    let mut out = String::from("&[\n");
    for f in files {
        let relative =
            f.strip_prefix(&root).map_err(io::Error::other)?.to_string_lossy().replace('\\', "/");
        let _ = writeln!(out, "    ({relative:?}, include_str!({:?})),", f.to_string_lossy());
    }
    out.push_str("]\n");
    let target = Path::new(&env::var("OUT_DIR").unwrap_or_default()).join("catalogue.rs");
    fs::write(target, out)
}
