//! From one statement to one instruction.

use super::Names;
use super::statement::Statement;
use crate::arithmetic::{compare, compute};
use crate::convert::{self, Conversion, Kind, Rounding};
use crate::fault::ParseError;
use crate::instruction::{Instruction, Operation, Register, Shuffle, Source, Space, Special};

/// Decodes an instruction.
pub(super) fn instruction(s: &Statement, names: &mut Names) -> Result<Instruction, ParseError> {
    let mut text = s.text.as_str();
    let mut guard = None;
    if let Some(guarded) = text.strip_prefix('@') {
        let (predicate, rest) =
            guarded.split_once(char::is_whitespace).ok_or_else(|| s.error("a guard alone"))?;
        let wanted = !predicate.starts_with('!');
        guard = Some((names.register(predicate.trim_start_matches('!'), s.scope), wanted));
        text = rest.trim();
    }
    let (opcode, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let mut d = Decoder { s, names, operands: operands(rest) };
    let operation = d.operation(opcode)?;
    Ok(Instruction { guard, operation, line: s.line })
}

/// Operands, split at commas outside brackets.
fn operands(text: &str) -> Vec<String> {
    let mut list = vec![String::new()];
    let mut depth = 0;
    for c in text.chars() {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            ',' if depth == 0 => {
                list.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = list.last_mut() {
            last.push(c);
        }
    }
    list.iter().map(|o| o.trim().to_owned()).filter(|o| !o.is_empty()).collect()
}

struct Decoder<'a> {
    s: &'a Statement,
    names: &'a mut Names,
    operands: Vec<String>,
}

type Decoded<T> = Result<T, ParseError>;

impl Decoder<'_> {
    fn unknown<T>(&self) -> Decoded<T> {
        Err(self.s.error("an instruction that the interpreter does not know"))
    }

    fn text(&self, i: usize) -> Decoded<String> {
        self.operands.get(i).cloned().ok_or_else(|| self.s.error("too few operands"))
    }

    fn register(&mut self, i: usize) -> Decoded<Register> {
        let name = self.text(i)?;
        Ok(self.names.register(&name, self.s.scope))
    }

    fn source(&mut self, i: usize) -> Decoded<Source> {
        let text = self.text(i)?;
        self.source_of(&text)
    }

    fn source_of(&mut self, text: &str) -> Decoded<Source> {
        let special = match text {
            "%tid.x" => Some(Special::Thread),
            "%ntid.x" => Some(Special::Threads),
            "%ctaid.x" => Some(Special::Block),
            "%nctaid.x" => Some(Special::Blocks),
            "%laneid" => Some(Special::Lane),
            _ => None,
        };
        if let Some(special) = special {
            return Ok(Source::Special(special));
        }
        if text.contains('.') {
            return self.unknown();
        }
        let hex = text.strip_prefix("0f").or_else(|| text.strip_prefix("0d"));
        if let Some(bits) = hex.or_else(|| text.strip_prefix("0x")) {
            let bits = u64::from_str_radix(bits, 16);
            return bits.map(Source::Immediate).or_else(|_| self.unknown());
        }
        if let Ok(x) = text.parse::<i64>() {
            return Ok(Source::Immediate(x as u64));
        }
        if let Ok(x) = text.parse::<u64>() {
            return Ok(Source::Immediate(x));
        }
        if let Some(offset) = self.names.shared.offsets.get(text) {
            return Ok(Source::Immediate(*offset));
        }
        if let Some(i) = self.names.parameters.iter().position(|p| p.name == text) {
            return Ok(Source::Immediate(i as u64));
        }
        Ok(Source::Register(self.names.register(text, self.s.scope)))
    }

    /// The parts of `{a, b}`, or one operand.
    fn parts(&self, i: usize) -> Decoded<Vec<String>> {
        let text = self.text(i)?;
        let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
        let list = inner.map(|t| t.split(',').map(|p| p.trim().to_owned()).collect());
        Ok(list.unwrap_or_else(|| vec![text]))
    }

    fn targets(&mut self, i: usize) -> Decoded<Vec<Option<Register>>> {
        let scope = self.s.scope;
        let parts = self.parts(i)?;
        let target = |n: &String| (n != "_").then(|| self.names.register(n, scope));
        Ok(parts.iter().map(target).collect())
    }

    fn sources(&mut self, i: usize) -> Decoded<Vec<Source>> {
        self.parts(i)?.iter().map(|p| self.source_of(p)).collect()
    }

    /// `[base + offset]`
    fn address(&mut self, i: usize) -> Decoded<(Source, i64)> {
        let text = self.text(i)?;
        let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) else {
            return self.unknown();
        };
        let (base, offset) = inner.split_once('+').unwrap_or((inner, "0"));
        let Ok(offset) = offset.trim().parse() else { return self.unknown() };
        Ok((self.source_of(base.trim())?, offset))
    }

    fn operation(&mut self, opcode: &str) -> Decoded<Operation> {
        let parts: Vec<&str> = opcode.split('.').collect();
        let ty = parts.last().copied().unwrap_or_default();
        match parts[0] {
            "ld" | "st" => self.memory(&parts),
            "cvta" => self.compute("mov", "b64"),
            "mov" => self.mov(ty),
            "cvt" => self.cvt(&parts),
            "setp" => self.setp(&parts),
            "bra" => match self.names.labels.get(&self.text(0)?) {
                Some(to) => Ok(Operation::Branch(*to)),
                None => self.unknown(),
            },
            "bar" | "barrier" if parts.contains(&"sync") && !parts.contains(&"warp") => {
                if self.operands == ["0"] { Ok(Operation::Barrier) } else { self.unknown() }
            }
            "shfl" => self.shfl(&parts),
            "mma" => self.mma(&parts),
            "ret" | "exit" => Ok(Operation::Return),
            _ => {
                let form = parts[..parts.len() - 1].join(".");
                self.compute(&form, ty)
            }
        }
    }

    fn compute(&mut self, form: &str, ty: &str) -> Decoded<Operation> {
        let Some(function) = compute(form, ty) else { return self.unknown() };
        let mut from = [Source::Immediate(0); 3];
        for (i, to) in from.iter_mut().enumerate().take(self.operands.len().saturating_sub(1)) {
            *to = self.source(i + 1)?;
        }
        Ok(Operation::Compute { function, to: self.register(0)?, from })
    }

    fn mov(&mut self, ty: &str) -> Decoded<Operation> {
        let bits: u32 = ty.get(1..).and_then(|b| b.parse().ok()).unwrap_or(1);
        let (to, from) = (self.text(0)?, self.text(1)?);
        if to.starts_with('{') {
            let to = self.targets(0)?;
            let bits = bits / to.len() as u32;
            return Ok(Operation::Unpack { to, from: self.source(1)?, bits });
        }
        if from.starts_with('{') {
            let from = self.sources(1)?;
            let bits = bits / from.len() as u32;
            return Ok(Operation::Pack { to: self.register(0)?, from, bits });
        }
        self.compute("mov", ty)
    }

    fn memory(&mut self, parts: &[&str]) -> Decoded<Operation> {
        let ty = parts.last().copied().unwrap_or_default();
        let bits: Option<u8> = ty.get(1..).and_then(|b| b.parse().ok());
        let Some(bytes) = bits.map(|b| b / 8).filter(|b| [1, 2, 4, 8].contains(b)) else {
            return self.unknown();
        };
        let mut space = None;
        let mut lanes = 1;
        for modifier in &parts[1..parts.len() - 1] {
            match *modifier {
                "global" => space = Some(Space::Global),
                "shared" => space = Some(Space::Shared),
                "param" => space = Some(Space::Parameter),
                "v2" => lanes = 2,
                "v4" => lanes = 4,
                "nc" => {}
                _ => return self.unknown(),
            }
        }
        let Some(space) = space else { return self.unknown() };
        let load = parts[0] == "ld";
        let (base, offset) = self.address(usize::from(load))?;
        if load {
            let to = self.targets(0)?;
            if to.len() != lanes || (space == Space::Parameter && offset != 0) {
                return self.unknown();
            }
            Ok(Operation::Load { space, bytes, signed: ty.starts_with('s'), to, base, offset })
        } else {
            let from = self.sources(1)?;
            if from.len() != lanes || space == Space::Parameter {
                return self.unknown();
            }
            Ok(Operation::Store { space, bytes, from, base, offset })
        }
    }

    fn cvt(&mut self, parts: &[&str]) -> Decoded<Operation> {
        let n = parts.len();
        if n < 3 {
            return self.unknown();
        }
        let pair = match &parts[1..] {
            ["rn", "f16x2", "f32"] => Some(convert::pack_f16 as crate::instruction::Compute),
            ["rn", "bf16x2", "f32"] => Some(convert::pack_bf16 as crate::instruction::Compute),
            _ => None,
        };
        if let Some(function) = pair {
            let from = [self.source(1)?, self.source(2)?, Source::Immediate(0)];
            return Ok(Operation::Compute { function, to: self.register(0)?, from });
        }
        let (Some(to), Some(from)) = (Kind::of(parts[n - 2]), Kind::of(parts[n - 1])) else {
            return self.unknown();
        };
        let mut conversion = Conversion { to, from, whole: None, saturate: false, ftz: false };
        for modifier in &parts[1..n - 2] {
            match *modifier {
                "rn" => {}
                "sat" => conversion.saturate = true,
                "ftz" => conversion.ftz = true,
                "rni" => conversion.whole = Some(Rounding::Nearest),
                "rzi" => conversion.whole = Some(Rounding::Zero),
                "rmi" => conversion.whole = Some(Rounding::Down),
                "rpi" => conversion.whole = Some(Rounding::Up),
                _ => return self.unknown(),
            }
        }
        if conversion.saturate && !(from.is_float() && to.is_float()) {
            return self.unknown();
        }
        Ok(Operation::Convert { conversion, to: self.register(0)?, from: self.source(1)? })
    }

    fn setp(&mut self, parts: &[&str]) -> Decoded<Operation> {
        let [_, form, ty] = parts else { return self.unknown() };
        let Some(function) = compare(form, ty) else { return self.unknown() };
        let from = [self.source(1)?, self.source(2)?, Source::Immediate(0)];
        Ok(Operation::Compute { function, to: self.register(0)?, from })
    }

    fn mma(&mut self, parts: &[&str]) -> Decoded<Operation> {
        let bf16 = match parts {
            ["mma", "sync", "aligned", "m16n8k16", "row", "col", "f32", "bf16", "bf16", "f32"] => {
                true
            }
            ["mma", "sync", "aligned", "m16n8k16", "row", "col", "f32", "f16", "f16", "f32"] => {
                false
            }
            _ => return self.unknown(),
        };
        let to: Option<Vec<Register>> = self.targets(0)?.into_iter().collect();
        let to = to.and_then(|t| t.try_into().ok());
        let (a, b, c) = (self.sources(1)?, self.sources(2)?, self.sources(3)?);
        match (to, a.try_into(), b.try_into(), c.try_into()) {
            (Some(to), Ok(a), Ok(b), Ok(c)) => Ok(Operation::Multiply { bf16, to, a, b, c }),
            _ => self.unknown(),
        }
    }

    fn shfl(&mut self, parts: &[&str]) -> Decoded<Operation> {
        let mode = match parts {
            ["shfl", "sync", "up", "b32"] => Shuffle::Up,
            ["shfl", "sync", "down", "b32"] => Shuffle::Down,
            ["shfl", "sync", "bfly", "b32"] => Shuffle::Butterfly,
            ["shfl", "sync", "idx", "b32"] => Shuffle::Index,
            _ => return self.unknown(),
        };
        let target = self.text(0)?;
        let (to, valid) = match target.split_once('|') {
            Some((to, valid)) => (to, Some(valid)),
            None => (target.as_str(), None),
        };
        let scope = self.s.scope;
        let to = self.names.register(to, scope);
        let valid = valid.map(|v| self.names.register(v, scope));
        let (from, by) = (self.source(1)?, self.source(2)?);
        let (clamp, mask) = (self.source(3)?, self.source(4)?);
        Ok(Operation::Shuffle { mode, to, valid, from, by, clamp, mask })
    }
}
