//! Small kernels, right and wrong: what runs, and what each check finds.

use ponens_ptx::{Argument, Fault, Launch, Memory, launch, parse};

/// A kernel `k(float* x, int n)` around a body; `%rd1` is x, `%r1` the thread, `%r9` is n.
fn kernel(body: &str) -> String {
    format!(
        ".version 8.8
.target sm_80
.address_size 64
.visible .entry k(
    .param .u64 k_param_0,
    .param .u32 k_param_1
)
.maxntid 256, 1, 1
{{
    .reg .pred %p<4>;
    .reg .b32 %r<20>;
    .reg .f32 %f<8>;
    .reg .b64 %rd<8>;
    .shared .align 4 .b8 s[1024];
    ld.param.u64 %rd0, [k_param_0];
    ld.param.u32 %r9, [k_param_1];
    cvta.to.global.u64 %rd1, %rd0;
    mov.u32 %r1, %tid.x;
    mul.wide.u32 %rd2, %r1, 4;
    add.s64 %rd3, %rd1, %rd2;
    mov.u32 %r2, s;
    shl.b32 %r3, %r1, 2;
    add.s32 %r4, %r2, %r3;
{body}
    ret;
}}
"
    )
}

fn run(body: &str, values: &[f32], threads: u32) -> Result<Vec<f32>, Fault> {
    let module = parse(&kernel(body)).unwrap_or_else(|e| panic!("{e}"));
    let mut memory = Memory::new();
    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let x = memory.upload(&bytes, 0);
    let arguments = [Argument::Address(x.address()), Argument::I32(values.len() as i32)];
    let shape = Launch { blocks: 1, threads, limit: 100_000 };
    launch(module.kernel("k").expect("the kernel"), shape, &arguments, &mut memory)?;
    let word = |c: &[u8]| f32::from_le_bytes([c[0], c[1], c[2], c[3]]);
    Ok(memory.bytes(x).chunks_exact(4).map(word).collect())
}

fn fault(body: &str, values: &[f32], threads: u32) -> String {
    run(body, values, threads).expect_err("a fault").reason
}

/// Adds up 64 values: shuffles in each warp, then shared memory.
const SUM: &str = "
    ld.global.f32 %f1, [%rd3];
    mov.b32 %r5, %f1;
    shfl.sync.bfly.b32 %r6|%p1, %r5, 16, 31, -1;
    mov.b32 %f2, %r6;
    add.f32 %f1, %f1, %f2;
    mov.b32 %r5, %f1;
    shfl.sync.bfly.b32 %r6, %r5, 8, 31, -1;
    mov.b32 %f2, %r6;
    add.f32 %f1, %f1, %f2;
    mov.b32 %r5, %f1;
    shfl.sync.bfly.b32 %r6, %r5, 4, 31, -1;
    mov.b32 %f2, %r6;
    add.f32 %f1, %f1, %f2;
    mov.b32 %r5, %f1;
    shfl.sync.bfly.b32 %r6, %r5, 2, 31, -1;
    mov.b32 %f2, %r6;
    add.f32 %f1, %f1, %f2;
    mov.b32 %r5, %f1;
    shfl.sync.bfly.b32 %r6, %r5, 1, 31, -1;
    mov.b32 %f2, %r6;
    add.f32 %f1, %f1, %f2;
    st.shared.f32 [%r4], %f1;
    bar.sync 0;
    setp.ne.s32 %p2, %r1, 0;
    @%p2 bra $L_end;
    ld.shared.f32 %f3, [s+128];
    add.f32 %f3, %f3, %f1;
    st.global.f32 [%rd1], %f3;
$L_end:";

#[test]
fn warps_shuffle_and_blocks_meet_at_barriers() {
    let values: Vec<f32> = (0..64).map(|x| x as f32).collect();
    let out = run(SUM, &values, 64).expect("no fault");
    assert_eq!(out[0], 2016.0);
}

#[test]
fn a_missing_barrier_is_a_race() {
    let body = SUM.replace("bar.sync 0;", "");
    let values = [1.0; 64];
    let reason = fault(&body, &values, 64);
    assert!(
        reason.contains("nothing has written") || reason.contains("without a barrier"),
        "{reason}"
    );
    let neighbour = "
    st.shared.f32 [%r4], 0f3F800000;
    ld.shared.f32 %f1, [s];";
    let reason = fault(neighbour, &values, 64);
    assert!(reason.contains("without a barrier"), "{reason}");
}

#[test]
fn bounds_and_alignment_are_checked() {
    let past = fault("ld.global.f32 %f1, [%rd3];", &[1.0; 8], 9);
    assert!(past.contains("out of bounds"), "{past}");
    let before = fault("st.global.f32 [%rd1+-4], %f1;", &[1.0; 8], 1);
    assert!(before.contains("out of bounds"), "{before}");
    let wide = fault("ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%rd1+4];", &[1.0; 8], 1);
    assert!(wide.contains("not aligned"), "{wide}");
    let shared = fault("st.shared.f32 [%r4], %f1;", &[1.0; 8], 257);
    assert!(shared.contains("out of bounds"), "{shared}");
    let nowhere = fault("mov.u64 %rd4, 64; ld.global.f32 %f1, [%rd4];", &[1.0], 1);
    assert!(nowhere.contains("no buffer"), "{nowhere}");
}

#[test]
fn threads_must_come_to_shuffles_and_barriers() {
    let half = "
    setp.gt.u32 %p1, %r1, 15;
    @%p1 bra $L_end;
    shfl.sync.bfly.b32 %r5, %r1, 1, 31, -1;
$L_end:";
    let reason = fault(half, &[1.0; 32], 32);
    assert!(reason.contains("shuffles with lane 16"), "{reason}");
    let stranger = "shfl.sync.bfly.b32 %r5, %r1, 1, 31, 3;";
    let reason = fault(stranger, &[1.0; 32], 32);
    assert!(reason.contains("leaves it out"), "{reason}");
    let outside = "
    setp.gt.u32 %p1, %r1, 1;
    @%p1 bra $L_end;
    shfl.sync.bfly.b32 %r5, %r1, 2, 31, 3;
$L_end:";
    let reason = fault(outside, &[1.0; 32], 32);
    assert!(reason.contains("takes no part"), "{reason}");
    let left = "
    setp.gt.u32 %p1, %r1, 31;
    @%p1 bra $L_end;
    bar.sync 0;
$L_end:";
    let reason = fault(left, &[1.0; 64], 64);
    assert!(reason.contains("barrier") && reason.contains("ended"), "{reason}");
    let two = "
    setp.gt.u32 %p1, %r1, 31;
    @%p1 bra $L_other;
    bar.sync 0;
    bra $L_end;
$L_other:
    bar.sync 0;
$L_end:";
    let reason = fault(two, &[1.0; 64], 64);
    assert!(reason.contains("another one"), "{reason}");
}

#[test]
fn shuffles_that_leave_the_warp_return_their_own_value() {
    let down = "
    shfl.sync.down.b32 %r5|%p1, %r1, 1, 31, -1;
    selp.u32 %r6, 100, 0, %p1;
    add.u32 %r5, %r5, %r6;
    cvt.rn.f32.u32 %f1, %r5;
    st.global.f32 [%rd3], %f1;";
    let out = run(down, &[0.0; 32], 32).expect("no fault");
    assert_eq!((out[0], out[30], out[31]), (101.0, 131.0, 31.0));
    let first = "
    shfl.sync.idx.b32 %r5, %r1, 7, 31, -1;
    cvt.rn.f32.u32 %f1, %r5;
    st.global.f32 [%rd3], %f1;";
    assert_eq!(run(first, &[0.0; 32], 32).expect("no fault")[3], 7.0);
}

#[test]
fn an_endless_loop_is_stopped() {
    let reason = fault("$L_again:\n    bra.uni $L_again;", &[1.0], 1);
    assert!(reason.contains("does not end"), "{reason}");
}

#[test]
fn what_is_not_known_is_refused_with_its_line() {
    for (body, line) in [
        ("    tex.2d.v4.f32.f32 {%f1, %f2, %f3, %f4}, [t, {%f5, %f6}];", 24),
        ("    atom.global.add.f32 %f1, [%rd1], %f2;", 24),
        ("    add.f32.sat %f1, %f2, %f3;", 24),
        ("    bra $L_nowhere;", 24),
        ("    ld.volatile.global.f32 %f1, [%rd1];", 24),
        ("    mov.u32 %r1, %clock;\n    mov.u32 %r1, %tid.y;", 25),
    ] {
        let error = parse(&kernel(body)).expect_err("unknown");
        assert_eq!(error.line, line, "{error}");
    }
    assert!(parse(".visible .entry k( .param .u64 a ) {\n ret").is_err());
    assert!(parse(".visible .entry k( .param .align 8 .b8 a[48] ) {\n ret;\n}\n").is_err());
}

#[test]
fn wrong_arguments_are_refused() {
    let module = parse(&kernel("")).expect("text");
    let kernel = module.kernel("k").expect("the kernel");
    let shape = Launch { blocks: 1, threads: 1, limit: 100 };
    for arguments in [vec![], vec![Argument::I32(1), Argument::I32(1)]] {
        assert!(launch(kernel, shape, &arguments, &mut Memory::new()).is_err());
    }
    let arguments = [Argument::Address(0), Argument::I32(1)];
    let none = Launch { threads: 0, ..shape };
    assert!(launch(kernel, none, &arguments, &mut Memory::new()).is_err());
    assert!(module.kernel("other").is_none() && !kernel.is_empty() && kernel.len() > 5);
}
