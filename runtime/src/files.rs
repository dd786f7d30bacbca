//! Files that appear whole or not at all, and digests of files.
//!
//! Why here: a run, a report and a saved model all promise it. A temporary file is private to its owner; what
//! becomes of it has the permissions that any new file has here, those that the umask leaves.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// How the names of files and folders begin that are being written, or being removed.
pub(crate) const UNFINISHED: &str = ".unfinished-";

/// A builder of temporary files with the permissions of ordinary ones.
pub(crate) fn temporary_file() -> tempfile::Builder<'static, 'static> {
    builder(0o666)
}

/// A builder of temporary folders with the permissions of ordinary ones.
pub(crate) fn temporary_folder() -> tempfile::Builder<'static, 'static> {
    builder(0o777)
}

/// The system takes the umask off the mode.
fn builder(mode: u32) -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(UNFINISHED);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    #[cfg(not(unix))]
    let _ = mode;
    builder
}

/// Writes a file that appears complete or not at all, and is on the disk when this returns.
///
/// # Errors
/// If the folder cannot be written, or something else has the name. Nothing is left then.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = temporary_file().tempfile_in(folder)?;
    temporary.write_all(bytes)?;
    temporary.as_file().sync_all()?;
    // On failure the temporary file goes with its handle.
    temporary.persist(path).map_err(|e| e.error)?;
    Ok(())
}

/// The SHA-256 of bytes, as hexadecimal digits behind the name of the function.
pub(crate) fn named(hash: Sha256) -> String {
    let digits: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    format!("{DIGEST}{digits}")
}

/// How a digest begins that stands for something too long to show.
pub(crate) const DIGEST: &str = "sha256:";

/// The SHA-256 of a file's content.
///
/// # Errors
/// If it cannot be read.
pub fn digest(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(named(hash)),
            n => hash.update(&buffer[..n]),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_appears_has_the_permissions_of_any_new_file() {
        let dir = tempfile::tempdir().expect("folder");
        let mode = |name: &str| {
            let found = std::fs::metadata(dir.path().join(name)).expect("there");
            found.permissions().mode() & 0o777
        };
        File::create(dir.path().join("plain")).expect("creates");
        std::fs::create_dir(dir.path().join("folder")).expect("creates");
        write_whole(&dir.path().join("whole"), b"x").expect("writes");
        assert_eq!(mode("whole"), mode("plain"));
        let made = temporary_folder().tempdir_in(dir.path()).expect("creates");
        let name = made.path().file_name().expect("a name").to_string_lossy().into_owned();
        assert_eq!(mode(&name), mode("folder"));
    }

    #[test]
    fn a_digest_is_that_of_the_content() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("a");
        std::fs::write(&path, "abc").expect("writes");
        // FIPS 180-4, the example of one block.
        let want = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest(&path).expect("reads"), want);
    }
}
