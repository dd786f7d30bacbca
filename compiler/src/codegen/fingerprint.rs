//! A short name for a text: the same text has the same one on every machine.

/// FNV-1a over the bytes, 64 bits, as 16 hexadecimal digits. It tells versions of one loss apart; it is no
/// protection against intent.
///
/// ```
/// use ponens_compiler::codegen::fingerprint;
/// assert_eq!(fingerprint("a"), "af63dc4c8601ec8c");
/// ```
pub fn fingerprint(text: &str) -> String {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", text.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}
