//! From text to kernels.
//!
//! In: the PTX that NVRTC prints. Out: a [`Module`] of decoded kernels, or the first statement that is
//! not understood. Invariant: an instruction that the interpreter does not know is refused here, never
//! skipped.

mod decode;
mod statement;

use crate::fault::ParseError;
use crate::instruction::{Instruction, Register};
use statement::Statement;
use std::collections::HashMap;

/// A kernel.
#[derive(Clone, Debug)]
pub struct Kernel {
    pub(crate) name: String,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) code: Vec<Instruction>,
    /// Registers of a thread.
    pub(crate) registers: usize,
    /// Bytes of shared memory.
    pub(crate) shared: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parameter {
    name: String,
    pub(crate) bytes: usize,
}

impl Kernel {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Instructions in its text.
    pub fn len(&self) -> usize {
        self.code.len()
    }

    /// True when it does nothing.
    pub fn is_empty(&self) -> bool {
        self.code.is_empty()
    }
}

/// The kernels of a text.
#[derive(Clone, Debug, Default)]
pub struct Module {
    kernels: Vec<Kernel>,
}

impl Module {
    /// The kernel of that name.
    pub fn kernel(&self, name: &str) -> Option<&Kernel> {
        self.kernels.iter().find(|k| k.name == name)
    }

    /// All kernels in the order of the text.
    pub fn kernels(&self) -> &[Kernel] {
        &self.kernels
    }
}

/// Decodes every kernel of a text.
///
/// # Errors
/// The first statement that is not understood.
pub fn parse(text: &str) -> Result<Module, ParseError> {
    let outer = statement::split(text)?;
    let mut shared = Shared::default();
    for s in outer.iter().filter(|s| s.text.starts_with(".shared")) {
        shared.declare(s)?;
    }
    let mut module = Module::default();
    for s in outer.iter().filter(|s| s.text.contains(".entry ")) {
        module.kernels.push(entry(s, shared.clone())?);
    }
    if let Some(s) =
        outer.iter().find(|s| s.text.contains(".func ") || s.text.starts_with(".const"))
    {
        return Err(s.error("functions and constant memory are not interpreted"));
    }
    Ok(module)
}

/// Shared variables by name.
#[derive(Clone, Debug, Default)]
struct Shared {
    offsets: HashMap<String, u64>,
    bytes: usize,
}

impl Shared {
    /// `.shared .align 8 .b8 name[2048]`
    fn declare(&mut self, s: &Statement) -> Result<(), ParseError> {
        let words: Vec<&str> = s.text.split_whitespace().collect();
        let after = |key: &str| words.iter().position(|w| *w == key).and_then(|i| words.get(i + 1));
        let align = after(".align").and_then(|a| a.parse::<usize>().ok()).unwrap_or(16);
        let element = words.iter().rev().nth(1).and_then(|t| t.get(2..)?.parse::<usize>().ok());
        let name = words.last().and_then(|w| w.split_once('['));
        let (Some(bits), Some((name, length))) = (element, name) else {
            return Err(s.error("a shared variable that is no array"));
        };
        let Ok(length) = length.trim_end_matches(']').parse::<usize>() else {
            return Err(s.error("a shared array without a length"));
        };
        self.bytes = self.bytes.next_multiple_of(align.max(1));
        self.offsets.insert(name.to_owned(), self.bytes as u64);
        self.bytes += length * bits / 8;
        Ok(())
    }
}

/// What operands of one kernel may name.
struct Names {
    registers: HashMap<String, Register>,
    labels: HashMap<String, usize>,
    shared: Shared,
    parameters: Vec<Parameter>,
}

impl Names {
    /// A register by name; names without `%` belong to their scope.
    fn register(&mut self, name: &str, scope: usize) -> Register {
        let next = self.registers.len() as Register;
        let key = if name.starts_with('%') { name.to_owned() } else { format!("{name}@{scope}") };
        *self.registers.entry(key).or_insert(next)
    }
}

fn entry(head: &Statement, mut shared: Shared) -> Result<Kernel, ParseError> {
    let signature = head.text.split_once(".entry ").map_or("", |(_, s)| s);
    let (name, rest) = signature.split_once('(').ok_or_else(|| head.error("no parameters"))?;
    let list = rest.split_once(')').map_or(rest, |(l, _)| l);
    let mut parameters = Vec::new();
    for p in list.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let words: Vec<&str> = p.split_whitespace().collect();
        let bits = words.get(1).and_then(|t| t.get(2..)?.parse::<usize>().ok());
        let plain = bits.filter(|_| words.len() == 3);
        let Some(bits) = plain else { return Err(head.error("a parameter that is no number")) };
        parameters.push(Parameter { name: words[2].to_owned(), bytes: bits / 8 });
    }
    let body = head.body.as_deref().ok_or_else(|| head.error("an entry without a body"))?;
    let mut labels = HashMap::new();
    let mut count = 0;
    for s in body {
        if let Some(label) = s.text.strip_suffix(':') {
            labels.insert(label.to_owned(), count);
        } else if s.text.starts_with(".shared") {
            shared.declare(s)?;
        } else if !s.text.starts_with('.') {
            count += 1;
        } else if s.text.starts_with(".local") {
            return Err(s.error("local memory is not interpreted"));
        }
    }
    let bytes = shared.bytes;
    let mut names = Names { registers: HashMap::new(), labels, shared, parameters };
    let mut code = Vec::with_capacity(count);
    for s in body.iter().filter(|s| !s.text.starts_with('.') && !s.text.ends_with(':')) {
        code.push(decode::instruction(s, &mut names)?);
    }
    let registers = names.registers.len();
    Ok(Kernel {
        name: name.trim().to_owned(),
        parameters: names.parameters,
        code,
        registers,
        shared: bytes,
    })
}
