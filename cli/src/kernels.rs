//! Kernels on the command line: compiling them, opening a card, and saying what is missing.

use ponens::compiler::codegen::cuda;
use ponens::compiler::lir::Plan;
use ponens::dsl::Diagnostic;
use ponens::runtime::kernel::{Arch, Cache, Compiler, Form, KernelError};

/// The diagnostic of a kernel error: E0702 where a card or a part of CUDA is missing, E0705 otherwise.
pub(crate) fn diagnostic(e: &KernelError) -> Diagnostic {
    let code = if e.is_missing() { "E0702" } else { "E0705" };
    let d = Diagnostic::error(code, e.to_string());
    match e.help() {
        Some(help) => d.help(help.to_owned()),
        None => d,
    }
}

/// The PTX of a loss's program: from the user's cache, else compiled and stored there.
pub(crate) fn ptx(plan: &Plan, source: &str, arch: Arch) -> Result<String, Diagnostic> {
    let compiler = Compiler::find().map_err(|e| diagnostic(&e))?;
    let stored = Cache::of_user().map(|c| c.compile(&compiler, source, arch, Form::Ptx));
    let compiled = match stored {
        // A cache that cannot be written is no reason not to compile.
        None | Some(Err(KernelError::Io { .. })) => compiler.compile(source, arch, Form::Ptx),
        Some(result) => result,
    };
    let compiled = compiled.map_err(|e| diagnostic(&e))?;
    let name = &plan.header.name;
    let (major, minor) = compiler.version();
    Ok(format!(
        "// The kernels of the loss {name:?}, plan {:016x}, for {arch}, by NVRTC {major}.{minor}.\n{}",
        cuda::fingerprint(plan),
        compiled.text()
    ))
}
