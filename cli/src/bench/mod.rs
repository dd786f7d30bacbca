//! Speed and memory of the kernels, against what no implementation can avoid and against others.
//!
//! Why: "fused" is a claim about time and memory, and only a measurement of all contenders in one run shows
//! it. In: shapes and a number of rounds. Out: a [`Report`] with medians, median paired ratios and peaks.
//! Invariants: a round runs every contender once, so that a ratio compares neighbours in time; the peak of
//! a contender is that of a process of its own, above its inputs; what could not run says why.

mod accuracy;
mod catalogue;
mod columns;
mod hidden;
mod logits;
mod measure;
mod report;
mod torch;
mod work;

pub use measure::{Contender, Measured};
pub use report::{Demand, Group, Report, Row};
pub use work::{Settings, Shape, Target};

use std::process::Command;

/// What can go wrong: a contender failed.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The contenders of a target, by name.
///
/// # Errors
/// If inputs cannot be made.
fn contenders(target: &Target, settings: &Settings) -> Result<Vec<Contender>> {
    match target {
        Target::Logits(shape) => logits::contenders(*shape, settings),
        Target::Hidden(shape, width) => hidden::contenders(*shape, *width),
        Target::Catalogue(_) | Target::Accuracy(_) => Ok(Vec::new()),
    }
}

/// Runs all targets; `progress` hears what comes next.
///
/// # Errors
/// If a contender fails that every machine can run.
pub fn run(settings: &Settings, mut progress: impl FnMut(&str)) -> Result<Report> {
    let mut groups = Vec::new();
    for target in settings.targets() {
        progress(&target.to_string());
        let group = match &target {
            Target::Catalogue(shape) => catalogue::measure(*shape, settings, &mut progress)?,
            Target::Accuracy(shape) => accuracy::measure(*shape)?,
            target => {
                let mut all = contenders(target, settings)?;
                let times = measure::rounds(&mut all, settings.rounds)?;
                let names: Vec<String> = all.iter().map(|c| c.name.clone()).collect();
                // The inputs of the timing are not the measured processes' business.
                let skipped = all.iter().map(|c| c.skipped.clone()).collect::<Vec<_>>();
                drop(all);
                let peaks: Vec<Option<u64>> = names
                    .iter()
                    .zip(&skipped)
                    .map(|(name, skipped)| {
                        let wanted = settings.memory && skipped.is_none();
                        wanted.then(|| peak(target, name, settings)).flatten()
                    })
                    .collect();
                report::group(target, names, skipped, times, peaks)
            }
        };
        groups.push(group);
    }
    Ok(Report::new(settings, groups))
}

/// The peak of a contender above its inputs, in bytes, measured in a process of its own.
fn peak(target: &Target, name: &str, settings: &Settings) -> Option<u64> {
    let mut command = Command::new(std::env::current_exe().ok()?);
    command.args(["bench", "--peak-of", name]).args(target.arguments());
    if let Some(python) = &settings.python {
        command.arg("--python").arg(python);
    }
    let out = command.output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    text.lines().last()?.trim().parse().ok()
}

/// Runs one contender once and gives the peak above its inputs in bytes; what `--peak-of` does.
///
/// # Errors
/// If there is no such contender, it fails, or the system does not tell.
pub fn peak_of(target: &Target, name: &str, settings: &Settings) -> Result<u64> {
    let mut all = contenders(target, settings)?;
    all.retain(|c| c.name == name);
    let contender = all.first_mut().ok_or("no such contender")?;
    if let Some(bytes) = contender.own_peak()? {
        return Ok(bytes);
    }
    measure::restart_peak();
    let before = measure::memory("VmRSS:").ok_or("the system does not tell the memory in use")?;
    contender.run()?;
    let peak = measure::memory("VmHWM:").ok_or("the system does not tell the peak")?;
    Ok(peak.saturating_sub(before))
}
