//! What the assembler makes of the kernels: no spills, 16-byte accesses.

use super::catalogue;
use super::support::compiler;
use ponens_compiler::codegen::cuda::stream::{Kernel, kernels};
use ponens_compiler::codegen::cuda::{Element, example, head, prelude};
use ponens_runtime::kernel::{Arch, resources};
use std::fmt::Write as _;

/// Loads and stores of 16 bytes in each kernel of a PTX text, by kernel.
fn wide(ptx: &str) -> Vec<(String, usize, usize)> {
    let mut list: Vec<(String, usize, usize)> = Vec::new();
    for line in ptx.lines() {
        if let Some((_, rest)) = line.split_once(".entry ") {
            list.push((rest.trim_end_matches('(').to_owned(), 0, 0));
        }
        let Some(last) = list.last_mut() else { continue };
        last.1 += usize::from(line.contains("ld.global") && line.contains(".v4.u32"));
        last.2 += usize::from(line.contains("st.global.v4.u32"));
    }
    list
}

#[test]
fn no_kernel_of_the_catalogue_spills_and_the_streams_are_16_bytes_wide() {
    let Some(compiler) = compiler() else { return };
    let planned: Vec<_> = catalogue::all().iter().filter_map(|(_, p)| p.as_ref().ok()).collect();
    let mut streams: Vec<Kernel> = Vec::new();
    let mut source = prelude();
    for plan in &planned {
        for kernel in kernels(plan, &Element::ALL) {
            if !streams.contains(&kernel) {
                streams.push(kernel);
                source.push_str(&kernel.text());
            }
        }
        source.push_str(&example::emit(plan));
    }
    let compiled = [Arch::SM_80, Arch::SM_90].map(|arch| {
        let both = compiler.compile_both(&source, arch).unwrap_or_else(|e| panic!("{arch}: {e}"));
        (arch, both)
    });
    let wide = wide(compiled[0].1[0].text());
    for kernel in &streams {
        let name = kernel.name();
        let (_, loads, stores) = wide.iter().find(|(n, ..)| *n == name).expect("compiled");
        let backward = name.contains("backward");
        assert!(
            *loads >= 1 && (*stores >= 1) == backward,
            "{name}: {loads} loads, {stores} stores"
        );
    }
    let mut table = String::new();
    for (arch, [_, cubin]) in &compiled {
        let all = resources(&cubin.log);
        assert!(all.len() > streams.len(), "{}", cubin.log);
        for (name, r) in &all {
            assert_eq!((r.spills, r.stack), (0, 0), "{name} on {arch}");
            let access = wide.iter().find(|(n, ..)| n == name).map_or((0, 0), |(_, l, s)| (*l, *s));
            let _ = writeln!(
                table,
                "{arch} {name}: {} registers, {} bytes shared, {} wide loads, {} wide stores",
                r.registers, r.shared, access.0, access.1
            );
        }
    }
    // Registers depend on the compiler's version: the figures stand for the one that CI installs.
    if compiler.version() == (12, 9) {
        insta::assert_snapshot!("resources", table);
    }
}

#[test]
fn no_kernel_of_the_head_spills_and_its_tiles_are_read_16_bytes_at_a_time() {
    let Some(compiler) = compiler() else { return };
    let source = prelude() + &head::program(&Element::ALL);
    for arch in [Arch::SM_80, Arch::SM_90] {
        let [ptx, cubin] =
            compiler.compile_both(&source, arch).unwrap_or_else(|e| panic!("{arch}: {e}"));
        let (wide, all) = (wide(ptx.text()), resources(&cubin.log));
        for kernel in Element::ALL.into_iter().flat_map(head::Kernel::of) {
            let name = kernel.name();
            let r = all.get(&name).expect("compiled");
            assert_eq!((r.spills, r.stack), (0, 0), "{name} on {arch}");
            let (_, loads, _) = wide.iter().find(|(n, ..)| *n == name).expect("compiled");
            let tiles = matches!(
                kernel,
                head::Kernel::Forward(_)
                    | head::Kernel::Direction(_)
                    | head::Kernel::BackwardHead(_)
            );
            // Both factors of the logits, and one of the second product.
            assert!(*loads >= if tiles { 2 } else { 0 }, "{name}: {loads} loads");
        }
    }
}
