//! Compiled kernels on disk.
//!
//! In: a text, an architecture, a form. Out: what the compiler makes of it, compiled at most once.
//! Invariants: the key covers the text, the architecture, the form and the compiler's version; a file
//! is complete or not there; a file that is damaged is compiled anew.

use super::compile::{Compiled, Compiler, Form};
use super::{Arch, KernelError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A folder of compiled kernels.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// A cache in that folder, which is made when the first kernel is stored.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The user's cache: `$PONENS_CACHE`, `$XDG_CACHE_HOME/ponens/kernels` or `~/.cache/ponens/kernels`.
    /// `None` where there is no home.
    pub fn of_user() -> Option<Self> {
        let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let folder = set("PONENS_CACHE").or_else(|| {
            let base = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
            Some(base?.join("ponens").join("kernels"))
        });
        folder.map(Self::new)
    }

    /// The file that holds a compiled text.
    pub fn path(&self, source: &str, arch: Arch, form: Form, version: (u32, u32)) -> PathBuf {
        let (major, minor) = version;
        let name = format!("{:032x}-{arch}-nvrtc{major}.{minor}.{}", key(source), form.extension());
        self.folder.join(name)
    }

    /// The compiled text: from disk, else from the compiler, and then stored.
    ///
    /// # Errors
    /// The text does not compile, or the file cannot be written.
    pub fn compile(
        &self,
        compiler: &Compiler,
        source: &str,
        arch: Arch,
        form: Form,
    ) -> Result<Compiled, KernelError> {
        let path = self.path(source, arch, form, compiler.version());
        if let Some(code) = read(&path, form) {
            return Ok(Compiled { code, log: String::new(), cached: true });
        }
        let compiled = compiler.compile(source, arch, form)?;
        self.store(&path, &compiled.code)
            .map_err(|source| KernelError::Io { path: path.clone(), source })?;
        Ok(compiled)
    }

    fn store(&self, path: &Path, code: &[u8]) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(code)?;
        // The length and a hash at the end tell a damaged file from a whole one.
        file.write_all(&trailer(code))?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|e| e.error)?;
        Ok(())
    }
}

/// 128 bits of a text: two FNV-1a hashes with different starts.
pub(crate) fn key(text: &str) -> u128 {
    let hash = |start: u64| {
        text.bytes().fold(start, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
    };
    u128::from(hash(0xcbf2_9ce4_8422_2325)) << 64 | u128::from(hash(0x9e37_79b9_7f4a_7c15))
}

fn trailer(code: &[u8]) -> [u8; 16] {
    let hash = code.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
        (h ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mut out = [0; 16];
    out[..8].copy_from_slice(&(code.len() as u64).to_le_bytes());
    out[8..].copy_from_slice(&hash.to_le_bytes());
    out
}

fn read(path: &Path, form: Form) -> Option<Vec<u8>> {
    let mut bytes = std::fs::read(path).ok()?;
    let length = bytes.len().checked_sub(16)?;
    let end = bytes.split_off(length);
    (end == trailer(&bytes) && form.recognises(&bytes)).then_some(bytes)
}
