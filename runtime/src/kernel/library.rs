//! Finds the libraries of CUDA before anything else touches them.
//!
//! Why: the bindings panic when a library is missing. In: the environment. Out: the library, loaded by
//! its path so that the bindings find it by name; or where it was looked for.

use super::KernelError;
use libloading::Library;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Names the folder that holds NVRTC, or the library itself.
pub const NVRTC_VARIABLE: &str = "PONENS_NVRTC";

/// Newest first; the bindings know the functions of version 12.
const NVRTC: [&str; 3] = ["libnvrtc.so.12", "libnvrtc.so.13", "libnvrtc.so"];
const DRIVER: [&str; 2] = ["libcuda.so.1", "libcuda.so"];

/// Loads NVRTC; later calls find it loaded.
///
/// # Errors
/// It is nowhere.
pub(super) fn nvrtc() -> Result<(), KernelError> {
    static LOADED: OnceLock<bool> = OnceLock::new();
    let candidates = nvrtc_candidates();
    // A failure is not kept: the variable may be set later.
    if LOADED.get().is_some() {
        return Ok(());
    }
    // NVRTC needs only itself: its sibling with the built-in functions lies beside it.
    if candidates.iter().any(|c| load(c, b"nvrtcGetCUBIN\0")) {
        LOADED.get_or_init(|| true);
        return Ok(());
    }
    let tried = candidates.iter().map(|c| c.display().to_string()).collect();
    let help = format!(
        "install the CUDA toolkit 12, or run scripts/fetch-nvrtc.sh and set {NVRTC_VARIABLE} to the folder that it names"
    );
    Err(KernelError::Missing { library: "NVRTC, the run-time compiler of CUDA,", tried, help })
}

/// Checks that the driver can be loaded.
///
/// # Errors
/// It is nowhere.
pub(crate) fn driver() -> Result<(), KernelError> {
    if DRIVER.iter().any(|name| load(Path::new(name), b"cuInit\0")) {
        return Ok(());
    }
    let tried = DRIVER.iter().map(|n| (*n).to_owned()).collect();
    let help = "this machine has no NVIDIA driver: use --backend cpu, or emit --target ptx to see \
                the kernels"
        .to_owned();
    Err(KernelError::Missing { library: "the CUDA driver", tried, help })
}

fn nvrtc_candidates() -> Vec<PathBuf> {
    let mut list = Vec::new();
    let mut folder = |folder: PathBuf| list.extend(NVRTC.iter().map(|n| folder.join(n)));
    if let Some(given) = std::env::var_os(NVRTC_VARIABLE).map(PathBuf::from) {
        if given.is_dir() {
            folder(given);
        } else {
            list.push(given);
        }
        // What is named is meant: nothing else is taken in its place.
        return list;
    }
    for home in ["CUDA_HOME", "CUDA_PATH"] {
        if let Some(home) = std::env::var_os(home) {
            folder(PathBuf::from(home).join("lib64"));
        }
    }
    list.extend(NVRTC.iter().map(PathBuf::from));
    list.extend(NVRTC.iter().map(|n| Path::new("/usr/local/cuda/lib64").join(n)));
    list
}

/// Loads a library for the rest of the process, if it has the symbol.
#[allow(unsafe_code)]
fn load(path: &Path, symbol: &[u8]) -> bool {
    // SAFETY: the initialisers of the CUDA libraries have no preconditions; the library is never
    // unloaded, so nothing that was taken from it dangles. The symbol is looked up, not called.
    unsafe {
        let Ok(library) = Library::new(path) else { return false };
        let found = library.get::<unsafe extern "C" fn()>(symbol).is_ok();
        if found {
            std::mem::forget(library);
        }
        found
    }
}
