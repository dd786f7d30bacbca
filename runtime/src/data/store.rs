//! Encoded examples in memory, or on disk for data that are larger than the memory.
//!
//! In: examples in the order of the data. Out: any of them by its place. Invariant: what a store gives back is
//! what was put in, to the last bit; of each example a store holds 8 bytes in memory.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::encode::{EncodedExample, Sequence};

/// Examples by their place in the data.
pub trait Examples: Sync {
    /// How many there are.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The example at a place below [`Examples::len`].
    ///
    /// # Errors
    /// If it cannot be read.
    fn get(&self, place: usize) -> io::Result<Cow<'_, EncodedExample>>;
}

impl Examples for [EncodedExample] {
    fn len(&self) -> usize {
        <[EncodedExample]>::len(self)
    }

    fn get(&self, place: usize) -> io::Result<Cow<'_, EncodedExample>> {
        Ok(Cow::Borrowed(&self[place]))
    }
}

impl Examples for Vec<EncodedExample> {
    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn get(&self, place: usize) -> io::Result<Cow<'_, EncodedExample>> {
        Ok(Cow::Borrowed(&self[place]))
    }
}

impl Examples for &[EncodedExample] {
    fn len(&self) -> usize {
        <[EncodedExample]>::len(self)
    }

    fn get(&self, place: usize) -> io::Result<Cow<'_, EncodedExample>> {
        Ok(Cow::Borrowed(&self[place]))
    }
}

/// Writes examples to a file, one after another.
pub struct StoreWriter {
    file: BufWriter<File>,
    offsets: Vec<u64>,
    at: u64,
}

impl StoreWriter {
    /// A new store in a file without a name in `folder`: it is gone when the store is.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn create(folder: &Path) -> io::Result<Self> {
        let file = BufWriter::new(tempfile::tempfile_in(folder)?);
        Ok(Self { file, offsets: Vec::new(), at: 0 })
    }

    /// Appends an example.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn push(&mut self, example: &EncodedExample) -> io::Result<()> {
        let bytes = to_bytes(example);
        self.file.write_all(&bytes)?;
        self.offsets.push(self.at);
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// The store of all that was appended; `source` is the file that the examples come from.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn finish(mut self, source: &Path) -> io::Result<Store> {
        self.file.flush()?;
        self.offsets.push(self.at);
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Store { file: Mutex::new(file), offsets: self.offsets, source: source.to_owned() })
    }
}

/// Examples on disk.
pub struct Store {
    file: Mutex<File>,
    /// Where each example begins, and where the last ends.
    offsets: Vec<u64>,
    source: PathBuf,
}

impl Store {
    /// The file that the examples come from.
    #[must_use]
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// Bytes on disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.offsets.last().copied().unwrap_or(0)
    }
}

impl Examples for Store {
    fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    fn get(&self, place: usize) -> io::Result<Cow<'_, EncodedExample>> {
        let (start, end) = (self.offsets[place], self.offsets[place + 1]);
        let mut bytes = vec![0; (end - start) as usize];
        {
            // Nothing is left half-changed by a reader that panicked: each reader seeks first.
            let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            file.seek(SeekFrom::Start(start))?;
            file.read_exact(&mut bytes)?;
        }
        from_bytes(&bytes).map(Cow::Owned)
    }
}

fn to_bytes(example: &EncodedExample) -> Vec<u8> {
    let mut out = Vec::new();
    let mut word = |v: u64| out.extend(v.to_le_bytes());
    word(example.row as u64);
    for sequences in [&example.responses, &example.mismatched] {
        word(sequences.len() as u64);
        for s in sequences {
            word(s.ids.len() as u64);
            word(s.start as u64);
        }
    }
    let floats = |v: &[f64], word: &mut dyn FnMut(u64)| {
        word(v.len() as u64);
        v.iter().for_each(|x| word(x.to_bits()));
    };
    word(example.good.len() as u64);
    example.good.iter().for_each(|g| word(u64::from(*g)));
    floats(&example.quality, &mut word);
    floats(&example.columns, &mut word);
    word(example.lists.len() as u64);
    example.lists.iter().for_each(|l| floats(l, &mut word));
    word(u64::from(example.reference.is_some()));
    floats(example.reference.as_deref().unwrap_or(&[]), &mut word);
    for s in example.sequences() {
        out.extend(s.ids.iter().flat_map(|id| id.to_le_bytes()));
    }
    out
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the store of examples is damaged")
}

/// Reads words off the front.
struct Words<'a>(&'a [u8]);

impl Words<'_> {
    fn word(&mut self) -> io::Result<u64> {
        let (word, rest) = self.0.split_first_chunk::<8>().ok_or_else(damaged)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*word))
    }

    /// A number of things that each take at least one byte of what is left.
    fn count(&mut self) -> io::Result<usize> {
        let n = self.word()? as usize;
        if n <= self.0.len() { Ok(n) } else { Err(damaged()) }
    }

    fn floats(&mut self) -> io::Result<Vec<f64>> {
        (0..self.count()?).map(|_| Ok(f64::from_bits(self.word()?))).collect()
    }

    fn ids(&mut self, n: usize) -> io::Result<Vec<u32>> {
        let bytes = n.checked_mul(4).and_then(|n| self.0.split_at_checked(n));
        let (ids, rest) = bytes.ok_or_else(damaged)?;
        self.0 = rest;
        let (ids, _) = ids.as_chunks::<4>();
        Ok(ids.iter().map(|b| u32::from_le_bytes(*b)).collect())
    }
}

fn from_bytes(bytes: &[u8]) -> io::Result<EncodedExample> {
    let mut words = Words(bytes);
    let row = words.word()? as usize;
    let mut borders = || -> io::Result<Vec<(usize, usize)>> {
        (0..words.count()?).map(|_| Ok((words.word()? as usize, words.word()? as usize))).collect()
    };
    let (responses, mismatched) = (borders()?, borders()?);
    let good = (0..words.count()?).map(|_| Ok(words.word()? != 0)).collect::<io::Result<_>>()?;
    let (quality, columns) = (words.floats()?, words.floats()?);
    let lists = (0..words.count()?).map(|_| words.floats()).collect::<io::Result<_>>()?;
    let given = words.word()? != 0;
    let reference = Some(words.floats()?).filter(|_| given);
    let mut sequences = |borders: Vec<(usize, usize)>| -> io::Result<Vec<Sequence>> {
        let one = |(n, start)| Ok(Sequence { ids: words.ids(n)?, start });
        borders.into_iter().map(one).collect()
    };
    let (responses, mismatched) = (sequences(responses)?, sequences(mismatched)?);
    Ok(EncodedExample { row, responses, good, mismatched, quality, columns, lists, reference })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_gives_back_what_was_put_in() {
        let side = |ids: &[u32], start| Sequence { ids: ids.to_vec(), start };
        let mut all = [
            EncodedExample::pair(3, side(&[1, 2, 70_000], 1), side(&[1, 9], 1), vec![0.1, -0.0]),
            EncodedExample::single(4, side(&[5], 1), false, vec![]),
        ];
        all[0].mismatched = vec![side(&[7, 8], 1)];
        all[0].reference = Some(vec![-1.5, f64::MIN_POSITIVE]);
        all[1].quality = vec![2.0];
        all[1].lists = vec![vec![1.0, 2.0], vec![]];
        all[1].reference = Some(vec![]);
        let folder = tempfile::tempdir().unwrap();
        let mut writer = StoreWriter::create(folder.path()).unwrap();
        all.iter().for_each(|e| writer.push(e).unwrap());
        let store = writer.finish(Path::new("d.jsonl")).unwrap();
        assert_eq!(store.len(), 2);
        for place in [1, 0, 1] {
            assert_eq!(*store.get(place).unwrap(), all[place]);
        }
        assert!(from_bytes(&to_bytes(&all[0])[..50]).is_err(), "a cut example is no panic");
        assert!(from_bytes(&[255; 64]).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no file is left");
    }
}
