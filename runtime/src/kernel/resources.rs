//! What the assembler says of each kernel: registers, spills, shared memory.

use std::collections::BTreeMap;

/// The resources of one kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resources {
    /// Registers of a thread.
    pub registers: u32,
    /// Bytes spilled to memory, stores and loads together.
    pub spills: u32,
    /// Bytes of a thread's stack.
    pub stack: u32,
    /// Bytes of shared memory of a block.
    pub shared: u32,
}

/// Reads the assembler's report out of the log of a CUBIN: resources by kernel.
pub fn resources(log: &str) -> BTreeMap<String, Resources> {
    let mut all = BTreeMap::new();
    let mut current: Option<String> = None;
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            current = rest.split('\'').next().map(str::to_owned);
        }
        let Some(name) = &current else { continue };
        let r: &mut Resources = all.entry(name.clone()).or_default();
        let before = |what: &str| -> Option<u32> {
            let (head, _) = line.split_once(what)?;
            head.rsplit([' ', ',']).find(|w| !w.is_empty())?.parse().ok()
        };
        if let Some(stack) = before(" bytes stack frame") {
            r.stack = stack;
            r.spills = before(" bytes spill stores").unwrap_or(0)
                + before(" bytes spill loads").unwrap_or(0);
        }
        if let Some(registers) = before(" registers") {
            r.registers = registers;
            r.shared = before(" bytes smem").unwrap_or(0);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_read() {
        let log = "\
ptxas info    : Compiling entry function 'a' for 'sm_80'
ptxas info    : Function properties for a
    8 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 32 registers, used 1 barriers, 512 bytes smem, 400 bytes cmem[0]
ptxas info    : Compiling entry function 'b' for 'sm_80'
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 9 registers, used 0 barriers, 400 bytes cmem[0]";
        let all = resources(log);
        assert_eq!(all["a"], Resources { registers: 32, spills: 16, stack: 8, shared: 512 });
        assert_eq!(all["b"], Resources { registers: 9, ..Resources::default() });
    }
}
