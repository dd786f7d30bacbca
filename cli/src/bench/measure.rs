//! Rounds of timing, and the memory of this process.

use super::Result;
use std::time::Instant;

/// Something that is measured.
pub struct Contender {
    /// Its name in the table.
    pub name: String,
    /// Why it does not run here, if so.
    pub skipped: Option<String>,
    run: Box<dyn FnMut() -> Result<f64>>,
    own_peak: Option<Box<dyn FnMut() -> Result<u64>>>,
}

impl std::fmt::Debug for Contender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contender").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Contender {
    /// One that is timed from outside; `prepare` is not timed.
    pub(super) fn new<S: 'static>(
        name: &str,
        state: S,
        prepare: impl Fn(&mut S) + 'static,
        run: impl Fn(&mut S) -> Result<()> + 'static,
    ) -> Self {
        let mut state = state;
        let timed = move || {
            prepare(&mut state);
            let start = Instant::now();
            run(&mut state)?;
            Ok(start.elapsed().as_secs_f64() * 1e3)
        };
        Self { name: name.into(), skipped: None, run: Box::new(timed), own_peak: None }
    }

    /// One that measures itself, in another process.
    pub(super) fn foreign(
        name: &str,
        run: impl FnMut() -> Result<f64> + 'static,
        own_peak: impl FnMut() -> Result<u64> + 'static,
    ) -> Self {
        let own_peak: Option<Box<dyn FnMut() -> Result<u64>>> = Some(Box::new(own_peak));
        Self { name: name.into(), skipped: None, run: Box::new(run), own_peak }
    }

    /// One that does not run here.
    pub(super) fn skipped(name: &str, why: String) -> Self {
        let none = || Err("skipped".into());
        Self { name: name.into(), skipped: Some(why), run: Box::new(none), own_peak: None }
    }

    /// Milliseconds of one run.
    ///
    /// # Errors
    /// If the work fails.
    pub fn run(&mut self) -> Result<f64> {
        (self.run)()
    }

    /// The peak that the contender measures itself, if it does.
    ///
    /// # Errors
    /// If the work fails.
    pub(super) fn own_peak(&mut self) -> Result<Option<u64>> {
        self.own_peak.as_mut().map(|f| f()).transpose()
    }
}

/// The times of a contender, one a round.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Milliseconds.
    pub times: Vec<f64>,
}

impl Measured {
    /// The median time in milliseconds.
    pub fn median(&self) -> Option<f64> {
        median(self.times.clone())
    }

    /// The median over the rounds of this time over another's.
    pub fn ratio(&self, other: &Measured) -> Option<f64> {
        median(self.times.iter().zip(&other.times).map(|(a, b)| a / b).collect())
    }

    /// Round by round, the sum of some times.
    pub(super) fn sum<'a>(parts: impl IntoIterator<Item = &'a Measured>) -> Measured {
        let mut times: Vec<f64> = Vec::new();
        for part in parts {
            times.resize(part.times.len(), 0.0);
            times.iter_mut().zip(&part.times).for_each(|(t, p)| *t += p);
        }
        Measured { times }
    }
}

/// The middle value.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (n, half) = (values.len(), values.len() / 2);
    match n {
        0 => None,
        _ if n % 2 == 1 => Some(values[half]),
        _ => Some((values[half - 1] + values[half]) / 2.0),
    }
}

/// Runs every contender once a round, after one round that does not count.
pub(super) fn rounds(all: &mut [Contender], rounds: usize) -> Result<Vec<Measured>> {
    let mut out = vec![Measured::default(); all.len()];
    for round in 0..=rounds {
        for (contender, measured) in all.iter_mut().zip(&mut out) {
            if contender.skipped.is_none() {
                let time = contender.run()?;
                if round > 0 {
                    measured.times.push(time);
                }
            }
        }
    }
    Ok(out)
}

/// A field of this process's status in bytes, where the system tells it.
pub(super) fn memory(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with(field))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// Lets the high-water mark of this process start afresh, where the system allows it.
pub(super) fn restart_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_paired_ratios() {
        let m = |times: &[f64]| Measured { times: times.to_vec() };
        assert_eq!(median(vec![]), None);
        assert_eq!(m(&[3.0, 1.0, 2.0]).median(), Some(2.0));
        assert_eq!(m(&[4.0, 1.0, 2.0, 3.0]).median(), Some(2.5));
        // A slow round is slow for both: the ratio of the medians would be another number.
        assert_eq!(m(&[2.0, 20.0, 6.0]).ratio(&m(&[1.0, 10.0, 2.0])), Some(2.0));
        assert_eq!(Measured::sum([&m(&[1.0, 2.0]), &m(&[10.0, 20.0])]), m(&[11.0, 22.0]));
    }

    #[test]
    fn every_round_runs_everyone_and_the_first_does_not_count() -> Result<()> {
        let count = std::rc::Rc::new(std::cell::Cell::new(0));
        let shared = count.clone();
        let one = Contender::new("one", shared, |c| c.set(c.get() + 1), |_| Ok(()));
        let mut all = [one, Contender::skipped("two", "no reason".into())];
        let out = rounds(&mut all, 3)?;
        assert_eq!((count.get(), out[0].times.len(), out[1].times.len()), (4, 3, 0));
        Ok(())
    }
}
