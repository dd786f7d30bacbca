//! Memory that knows its bounds, what has been written, and who touched it last.
//!
//! In: accesses by threads. Out: their values, or the reason why the access is wrong. Invariant: two
//! accesses of one place by different threads, at least one of them a write, are separated by a barrier
//! of their block, or reported.

/// Who makes an access, and after how many barriers of its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) block: u32,
    pub(crate) thread: u32,
    pub(crate) epoch: u32,
}

/// Bytes that share one record of who touched them.
const GRANULE: usize = 2;

/// Readers of one place: none, one, or several since the last barrier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Readers {
    #[default]
    None,
    One(Who),
    /// Several threads of one block, in one epoch.
    Block {
        block: u32,
        epoch: u32,
    },
    /// Several blocks.
    Blocks,
}

#[derive(Clone, Copy, Debug, Default)]
struct Touched {
    writer: Option<Who>,
    readers: Readers,
}

/// Bytes with records.
#[derive(Clone, Debug)]
pub(crate) struct Cells {
    pub(crate) bytes: Vec<u8>,
    written: Vec<bool>,
    touched: Vec<Touched>,
}

fn conflicts(a: Who, b: Who) -> bool {
    a.block != b.block || (a.thread != b.thread && a.epoch == b.epoch)
}

impl Cells {
    /// Bytes that nothing has written.
    pub(crate) fn empty(length: usize) -> Self {
        let touched = vec![Touched::default(); length.div_ceil(GRANULE)];
        Self { bytes: vec![0; length], written: vec![false; length], touched }
    }

    /// Bytes written before the launch.
    pub(crate) fn filled(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), written: vec![true; bytes.len()], ..Self::empty(bytes.len()) }
    }

    /// Forgets who touched what: a launch ended, which orders everything.
    pub(crate) fn settle(&mut self) {
        self.touched.fill(Touched::default());
    }

    fn range(&self, at: u64, length: usize) -> Result<std::ops::Range<usize>, String> {
        let start = usize::try_from(at).ok();
        let range = start.and_then(|s| Some(s..s.checked_add(length)?));
        range.filter(|r| r.end <= self.bytes.len()).ok_or_else(|| {
            format!("{length} bytes at offset {} of {} bytes", at as i64, self.bytes.len())
        })
    }

    pub(crate) fn read(&mut self, at: u64, length: usize, who: Who) -> Result<&[u8], String> {
        let range = self.range(at, length).map_err(|e| format!("reads out of bounds: {e}"))?;
        if self.written[range.clone()].iter().any(|w| !w) {
            return Err(format!("reads {length} bytes at offset {at} that nothing has written"));
        }
        for t in &mut self.touched[range.start / GRANULE..range.end.div_ceil(GRANULE)] {
            if let Some(w) = t.writer.filter(|w| conflicts(*w, who)) {
                return Err(format!(
                    "reads offset {at}, which block {} thread {} writes without a barrier between",
                    w.block, w.thread
                ));
            }
            t.readers = match t.readers {
                Readers::One(r) if r.block != who.block => Readers::Blocks,
                Readers::One(r) if r.epoch == who.epoch && r.thread != who.thread => {
                    Readers::Block { block: r.block, epoch: r.epoch }
                }
                Readers::Block { block, .. } if block != who.block => Readers::Blocks,
                Readers::Block { block, epoch } if epoch == who.epoch => {
                    Readers::Block { block, epoch }
                }
                Readers::Blocks => Readers::Blocks,
                _ => Readers::One(who),
            };
        }
        Ok(&self.bytes[range])
    }

    pub(crate) fn write(&mut self, at: u64, bytes: &[u8], who: Who) -> Result<(), String> {
        let range =
            self.range(at, bytes.len()).map_err(|e| format!("writes out of bounds: {e}"))?;
        for t in &mut self.touched[range.start / GRANULE..range.end.div_ceil(GRANULE)] {
            if let Some(w) = t.writer.filter(|w| conflicts(*w, who)) {
                return Err(format!(
                    "writes offset {at}, which block {} thread {} writes without a barrier between",
                    w.block, w.thread
                ));
            }
            let read = match t.readers {
                Readers::None => false,
                Readers::One(r) => conflicts(r, who),
                Readers::Block { block, epoch } => block != who.block || epoch == who.epoch,
                Readers::Blocks => true,
            };
            if read {
                return Err(format!(
                    "writes offset {at}, which another thread reads without a barrier between"
                ));
            }
            t.writer = Some(who);
        }
        self.written[range.clone()].fill(true);
        self.bytes[range].copy_from_slice(bytes);
        Ok(())
    }
}

/// A buffer in global memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    index: u32,
    skew: u8,
    length: usize,
}

/// Buffers are this far apart, so that no overrun reaches another one.
const DISTANCE: u32 = 40;
/// Where a buffer begins: far from both ends, so that no underrun does either.
const BASE: u64 = 1 << (DISTANCE - 1);

impl Buffer {
    /// Its address, as a kernel sees it.
    pub fn address(self) -> u64 {
        (u64::from(self.index) << DISTANCE) + BASE + u64::from(self.skew)
    }

    /// Its length in bytes.
    pub fn len(self) -> usize {
        self.length
    }

    /// True when it has no bytes.
    pub fn is_empty(self) -> bool {
        self.length == 0
    }
}

/// Global memory.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    buffers: Vec<(Buffer, Cells)>,
}

impl Memory {
    /// No buffers yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn add(&mut self, skew: u8, cells: Cells) -> Buffer {
        let buffer = Buffer { index: self.buffers.len() as u32, skew, length: cells.bytes.len() };
        self.buffers.push((buffer, cells));
        buffer
    }

    /// A buffer with these bytes, `skew` bytes past a boundary of 256.
    pub fn upload(&mut self, bytes: &[u8], skew: u8) -> Buffer {
        self.add(skew, Cells::filled(bytes))
    }

    /// A buffer that nothing has written: reading it is a fault.
    pub fn reserve(&mut self, length: usize, skew: u8) -> Buffer {
        self.add(skew, Cells::empty(length))
    }

    /// The bytes of a buffer.
    pub fn bytes(&self, buffer: Buffer) -> &[u8] {
        self.buffers.get(buffer.index as usize).map_or(&[], |(_, c)| &c.bytes)
    }

    /// True when every byte has been written.
    pub fn is_written(&self, buffer: Buffer) -> bool {
        self.buffers.get(buffer.index as usize).is_some_and(|(_, c)| c.written.iter().all(|w| *w))
    }

    pub(crate) fn settle(&mut self) {
        self.buffers.iter_mut().for_each(|(_, c)| c.settle());
    }

    /// The buffer that an address lies in, and the offset.
    pub(crate) fn at(&mut self, address: u64) -> Result<(&mut Cells, u64), String> {
        let index = usize::try_from(address >> DISTANCE).ok();
        match index.and_then(|i| self.buffers.get_mut(i)) {
            // Small numbers are no addresses.
            Some((buffer, cells)) if address >= BASE / 2 => {
                Ok((cells, address.wrapping_sub(buffer.address())))
            }
            _ => Err(format!("address {address:#x} belongs to no buffer")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(block: u32, thread: u32, epoch: u32) -> Who {
        Who { block, thread, epoch }
    }

    #[test]
    fn only_a_barrier_orders_two_threads() {
        let mut c = Cells::empty(8);
        assert!(c.read(0, 4, who(0, 0, 0)).is_err(), "nothing was written");
        c.write(0, &[1; 4], who(0, 0, 0)).expect("first");
        c.read(0, 4, who(0, 0, 0)).expect("own value");
        assert!(c.read(0, 4, who(0, 1, 0)).is_err(), "no barrier");
        c.read(0, 4, who(0, 1, 1)).expect("after a barrier");
        c.read(0, 4, who(0, 2, 1)).expect("readers do not conflict");
        assert!(c.write(0, &[2; 4], who(0, 1, 1)).is_err(), "thread 2 still reads");
        c.write(0, &[2; 4], who(0, 1, 2)).expect("after a barrier");
        assert!(c.read(0, 4, who(1, 0, 9)).is_err(), "no barrier orders two blocks");
        c.settle();
        c.read(0, 4, who(1, 0, 0)).expect("another launch");
        assert!(c.read(6, 4, who(0, 0, 0)).is_err() && c.write(8, &[1], who(0, 0, 0)).is_err());
    }
}
