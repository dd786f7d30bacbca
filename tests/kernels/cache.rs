//! The compiler and its cache.

use super::support::compiler;
use ponens_runtime::kernel::{Arch, Cache, Compiler, Form, KernelError};

const KERNEL: &str = "extern \"C\" __global__ void k(float* x) { x[threadIdx.x] = 1.0f; }";

#[test]
fn a_kernel_is_compiled_once_and_a_damaged_file_again() {
    let Some(compiler) = compiler() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Cache::new(folder.path().join("kernels"));
    let get = |form| cache.compile(&compiler, KERNEL, Arch::SM_80, form).expect("compiles");
    for form in [Form::Ptx, Form::Cubin] {
        let first = get(form);
        assert!(!first.cached);
        let second = get(form);
        assert!(second.cached && second.code == first.code);
        let path = cache.path(KERNEL, Arch::SM_80, form, compiler.version());
        let mut damaged = std::fs::read(&path).expect("the file");
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        std::fs::write(&path, &damaged).expect("written");
        let third = get(form);
        assert!(!third.cached && third.code == first.code);
        let other = cache.path(KERNEL, Arch::SM_90, form, compiler.version());
        assert_ne!(path, other);
    }
    let files = std::fs::read_dir(folder.path().join("kernels")).expect("the folder").count();
    assert_eq!(files, 2, "nothing half-written is left");
}

#[test]
fn a_text_that_does_not_compile_brings_the_log_and_the_text() {
    let Some(compiler) = compiler() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Cache::new(folder.path());
    let wrong = "extern \"C\" __global__ void k(float* x) { x[0] = nothing; }";
    match cache.compile(&compiler, wrong, Arch::SM_90, Form::Cubin) {
        Err(KernelError::Compile { arch, log, source_text }) => {
            assert_eq!((arch.as_str(), source_text.as_str()), ("sm_90", wrong));
            assert!(log.contains("nothing"), "{log}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
    let zero = compiler.compile("a\0b", Arch::SM_80, Form::Ptx);
    assert!(matches!(zero, Err(KernelError::Input { .. })), "{zero:?}");
}

#[test]
fn a_compiler_that_is_not_there_is_an_error_that_says_where_it_was_looked_for() {
    // Found already, by another test of this process, or not there at all.
    match Compiler::find() {
        Ok(compiler) => assert!(compiler.version().0 >= 12),
        Err(KernelError::Missing { tried, help, .. }) => {
            assert!(!tried.is_empty() && help.contains("fetch-nvrtc.sh"));
        }
        Err(e) => panic!("{e}"),
    }
}
