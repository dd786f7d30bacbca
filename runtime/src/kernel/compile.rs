//! NVRTC: from text to PTX or to a CUBIN.

use super::{Arch, KernelError, library};
use cudarc::nvrtc::{result, sys};
use std::ffi::CString;

/// What the compiler makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// The text form, which any newer card's driver translates.
    Ptx,
    /// Machine code of one architecture.
    Cubin,
}

impl Form {
    pub(super) fn extension(self) -> &'static str {
        match self {
            Form::Ptx => "ptx",
            Form::Cubin => "cubin",
        }
    }

    /// True when bytes look like this form at all.
    pub(super) fn recognises(self, code: &[u8]) -> bool {
        match self {
            Form::Ptx => std::str::from_utf8(code).is_ok_and(|t| t.contains(".version")),
            Form::Cubin => code.starts_with(b"\x7fELF"),
        }
    }
}

/// Compiled kernels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// PTX text in UTF-8, or a CUBIN.
    pub code: Vec<u8>,
    /// What the compiler says: for a CUBIN also each kernel's registers and spills.
    pub log: String,
    /// True when it comes from the cache, which keeps no log.
    pub cached: bool,
}

impl Compiled {
    /// The PTX text; empty for a CUBIN.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.code).unwrap_or_default()
    }
}

/// NVRTC, found and ready.
#[derive(Clone, Copy, Debug)]
pub struct Compiler {
    version: (u32, u32),
}

impl Compiler {
    /// Finds NVRTC: `$PONENS_NVRTC`, the toolkit's folders, the loader's path.
    ///
    /// # Errors
    /// [`KernelError::Missing`] says where it was looked for.
    pub fn find() -> Result<Self, KernelError> {
        library::nvrtc()?;
        let (mut major, mut minor) = (0, 0);
        // SAFETY: the library is loaded and has its functions; both pointers live through the call.
        #[allow(unsafe_code)]
        let status = unsafe { sys::nvrtcVersion(&mut major, &mut minor) };
        check("nvrtcVersion", status)?;
        Ok(Self { version: (major.unsigned_abs(), minor.unsigned_abs()) })
    }

    /// Major and minor version.
    pub fn version(&self) -> (u32, u32) {
        self.version
    }

    /// Compiles a text.
    ///
    /// # Errors
    /// [`KernelError::Compile`] with the log and the text; [`KernelError::Cuda`] when NVRTC itself fails.
    pub fn compile(&self, source: &str, arch: Arch, form: Form) -> Result<Compiled, KernelError> {
        let mut options = vec!["--std=c++17".to_owned()];
        match form {
            Form::Ptx => options.push(format!("--gpu-architecture={}", arch.virtual_name())),
            Form::Cubin => options.extend(to_machine_code(arch)),
        }
        let program = Program::of(source)?;
        program.compile(&options, source, arch)?;
        let code = program.code(form)?;
        Ok(Compiled { code, log: program.log(), cached: false })
    }

    /// Compiles a text once and gives the PTX on the way and the CUBIN, whose log tells what every kernel
    /// takes.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn compile_both(&self, source: &str, arch: Arch) -> Result<[Compiled; 2], KernelError> {
        let mut options = vec!["--std=c++17".to_owned()];
        options.extend(to_machine_code(arch));
        let program = Program::of(source)?;
        program.compile(&options, source, arch)?;
        let get =
            |form| Ok(Compiled { code: program.code(form)?, log: program.log(), cached: false });
        Ok([get(Form::Ptx)?, get(Form::Cubin)?])
    }
}

fn to_machine_code(arch: Arch) -> [String; 2] {
    [format!("--gpu-architecture={arch}"), "--ptxas-options=-v".to_owned()]
}

/// An NVRTC program, destroyed when dropped.
struct Program(sys::nvrtcProgram);

#[allow(unsafe_code)]
impl Program {
    fn of(source: &str) -> Result<Self, KernelError> {
        let Ok(text) = CString::new(source) else {
            return Err(KernelError::input("the kernel's text", "holds a zero byte"));
        };
        let program = result::create_program(&text, None);
        program.map(Program).map_err(|e| failed("nvrtcCreateProgram", e.0))
    }

    fn compile(&self, options: &[String], source: &str, arch: Arch) -> Result<(), KernelError> {
        // SAFETY: the program was created and is not destroyed before `self` is dropped.
        match unsafe { result::compile_program(self.0, options) } {
            Ok(()) => Ok(()),
            Err(e) if e.0 == sys::nvrtcResult::NVRTC_ERROR_COMPILATION => {
                Err(KernelError::Compile {
                    arch: arch.to_string(),
                    log: self.log(),
                    source_text: source.to_owned(),
                })
            }
            Err(e) => Err(KernelError::Cuda {
                call: "nvrtcCompileProgram",
                reason: format!("{:?} {}", e.0, self.log()).trim_end().to_owned(),
            }),
        }
    }

    fn log(&self) -> String {
        // SAFETY: as in `compile`.
        let log = unsafe { result::get_program_log(self.0) }.unwrap_or_default();
        let bytes: Vec<u8> = log.iter().map(|c| *c as u8).take_while(|c| *c != 0).collect();
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }

    fn code(&self, form: Form) -> Result<Vec<u8>, KernelError> {
        let (mut size, mut code) = (0usize, Vec::new());
        // SAFETY: the program is alive; `size` and `code` live through the calls, and `code` has the
        // size that NVRTC asked for.
        unsafe {
            match form {
                Form::Ptx => {
                    check("nvrtcGetPTXSize", sys::nvrtcGetPTXSize(self.0, &mut size))?;
                    code.resize(size, 0u8);
                    check("nvrtcGetPTX", sys::nvrtcGetPTX(self.0, code.as_mut_ptr().cast()))?;
                    // A zero ends the text.
                    code.truncate(code.iter().position(|b| *b == 0).unwrap_or(size));
                }
                Form::Cubin => {
                    check("nvrtcGetCUBINSize", sys::nvrtcGetCUBINSize(self.0, &mut size))?;
                    code.resize(size, 0u8);
                    check("nvrtcGetCUBIN", sys::nvrtcGetCUBIN(self.0, code.as_mut_ptr().cast()))?;
                }
            }
        }
        Ok(code)
    }
}

impl Drop for Program {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: destroyed once, here; nothing uses it afterwards.
        let _ = unsafe { result::destroy_program(self.0) };
    }
}

fn failed(call: &'static str, status: sys::nvrtcResult) -> KernelError {
    KernelError::Cuda { call, reason: format!("{status:?}") }
}

fn check(call: &'static str, status: sys::nvrtcResult) -> Result<(), KernelError> {
    if status == sys::nvrtcResult::NVRTC_SUCCESS { Ok(()) } else { Err(failed(call, status)) }
}
