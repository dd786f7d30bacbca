//! Everything a run needs to continue bit for bit, in one folder that is there whole or not at all.
//!
//! A checkpoint is written under a temporary name beside its place, flushed to the disk file by file, and
//! renamed. The order of the data is a function of the seed and the step, so both are all of its state.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor, Var};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::data::Examples;
use crate::files::{named, temporary_folder};
use crate::op::{LossKernel, RuntimeError};
use crate::optim::AdamW;

use super::config::{Settings, TrainConfig};
use super::output::{UNFINISHED, sync_folder};
use super::reference::{ReferenceLogProbs, unreadable};
use super::reward::Grain;
use super::running_mean::Running;

const PREFIX: &str = "checkpoint-";
const WEIGHTS: &str = "weights.safetensors";
const OPTIMISER: &str = "optimizer.safetensors";
const REFERENCE: &str = "reference.safetensors";
const STATE: &str = "state.json";
const VERSION: u32 = 3;

/// The numbers of a checkpoint that are not tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    version: u32,
    /// Optimiser steps taken; with the seed, the position in the data.
    pub(super) step: usize,
    /// Seconds of training so far.
    pub(super) seconds: f64,
    /// The loss that was trained with.
    pub(super) loss: String,
    /// Its definition and its parameters.
    pub(super) kernel: Settings,
    /// The settings.
    pub(super) config: TrainConfig,
    /// A digest of all training and held-out tokens.
    pub(super) data: String,
    /// Log-probability by token of the held-out chosen responses before the first step.
    pub(super) baseline: Option<f64>,
    /// The lowest held-out loss so far.
    #[serde(default)]
    pub(super) best: Option<f64>,
    /// Evaluations since then.
    #[serde(default)]
    pub(super) stale: usize,
    /// The running means of the loss.
    #[serde(default)]
    pub(super) running: Vec<Running>,
    /// Whether this sitting goes on under settings that may change, and did.
    #[serde(skip)]
    pub(super) changed: bool,
}

/// What tells a loss from others of its name: the digest of its graph, and its parameters.
pub fn kernel_settings(kernel: &dyn LossKernel) -> Settings {
    let graph = kernel.definition().map(|g| {
        let text = named(Sha256::new_with_prefix(g.to_string()));
        (format!("definition of the loss `{}`", kernel.name()), text)
    });
    let parameters = kernel.parameters().into_iter();
    let shown = parameters.map(|(name, v)| (format!("parameter `{name}`"), format!("{v:?}")));
    graph.into_iter().chain(shown).collect()
}

impl State {
    pub(super) fn new(loss: &str, config: &TrainConfig, data: String) -> Self {
        Self {
            version: VERSION,
            step: 0,
            seconds: 0.0,
            loss: loss.to_owned(),
            kernel: Settings::new(),
            config: config.clone(),
            data,
            baseline: None,
            best: None,
            stale: 0,
            running: Vec::new(),
            changed: false,
        }
    }
}

/// A digest (64-bit FNV-1a) of tokens, borders, labels and columns: tells one data set from another.
pub(super) fn digest(parts: &[&dyn Examples]) -> Result<String, RuntimeError> {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut eat = |word: u64| {
        for byte in word.to_le_bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for part in parts {
        eat(part.len() as u64);
        for place in 0..part.len() {
            let example = part.get(place).map_err(unreadable)?;
            eat(example.responses.len() as u64);
            for s in example.sequences() {
                eat(s.ids.len() as u64);
                eat(s.start as u64);
                s.ids.iter().for_each(|&id| eat(u64::from(id)));
            }
            example.good.iter().for_each(|&g| eat(u64::from(g)));
            example.columns.iter().for_each(|c| eat(c.to_bits()));
            example.lists.iter().flatten().for_each(|c| eat(c.to_bits()));
            example.reference.iter().flatten().for_each(|r| eat(r.to_bits()));
        }
    }
    Ok(format!("{hash:016x}"))
}

fn name(step: usize) -> String {
    format!("{PREFIX}{step:08}")
}

/// All complete checkpoints in a run's folder, oldest first.
fn all(folder: &Path) -> Result<Vec<(usize, PathBuf)>, RuntimeError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(RuntimeError::io("cannot read", folder)(e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(RuntimeError::io("cannot read", folder))?.path();
        let step = path
            .file_name()
            .and_then(|n| n.to_str())
            .and_then(|n| n.strip_prefix(PREFIX))
            .and_then(|n| n.parse().ok());
        if let Some(step) = step.filter(|_| path.join(STATE).is_file()) {
            found.push((step, path));
        }
    }
    found.sort();
    Ok(found)
}

/// The newest checkpoint in a run's folder.
///
/// # Errors
/// If the folder cannot be read; a folder that is not there has none.
pub fn latest(folder: &Path) -> Result<Option<PathBuf>, RuntimeError> {
    Ok(all(folder)?.pop().map(|(_, path)| path))
}

fn save_tensors(tensors: &HashMap<String, Tensor>, path: &Path) -> Result<(), RuntimeError> {
    if !tensors.is_empty() {
        candle_core::safetensors::save(tensors, path)
            .map_err(|e| RuntimeError::format(path, format!("cannot write: {e}")))?;
        let file = File::open(path).and_then(|f| f.sync_all());
        file.map_err(RuntimeError::io("cannot write", path))?;
    }
    Ok(())
}

/// Variables with the optimiser that moves them.
pub(super) type Trained<'a> = (&'a [(String, Var)], &'a AdamW);

/// Writes a checkpoint into the run's folder and removes all but the `keep` newest; returns its folder.
pub(super) fn save(
    folder: &Path,
    state: &State,
    trained: &[Trained<'_>],
    reference: &ReferenceLogProbs,
) -> Result<PathBuf, RuntimeError> {
    fs::create_dir_all(folder).map_err(RuntimeError::io("cannot create", folder))?;
    // Dropping the handle on any error below removes the half-written folder.
    let temporary =
        temporary_folder().tempdir_in(folder).map_err(RuntimeError::io("cannot write", folder))?;
    let at = |file: &str| temporary.path().join(file);
    let mut weights = HashMap::new();
    let mut moments = HashMap::new();
    for (variables, optimiser) in trained {
        weights.extend(variables.iter().map(|(n, v)| (n.clone(), v.as_tensor().clone())));
        moments.extend(optimiser.state()?);
    }
    save_tensors(&weights, &at(WEIGHTS))?;
    save_tensors(&moments, &at(OPTIMISER))?;
    save_tensors(&reference.tensors()?, &at(REFERENCE))?;
    let text = serde_json::to_vec_pretty(state)
        .map_err(|e| RuntimeError::format(at(STATE), e.to_string()))?;
    super::output::write_whole(&at(STATE), &text)?;
    sync_folder(temporary.path())?;
    let place = folder.join(name(state.step));
    if place.join(STATE).is_file() {
        // The same step again, after a resume: it holds the same bits.
        return Ok(place);
    }
    fs::rename(temporary.path(), &place).map_err(RuntimeError::io("cannot write", &place))?;
    // The name is gone: the handle has nothing left to remove.
    let _ = temporary.keep();
    sync_folder(folder)?;
    let mut found = all(folder)?;
    found.retain(|(step, _)| *step != state.step);
    while found.len() + 1 > state.config.keep {
        let (step, oldest) = found.remove(0);
        // Under another name first: a process that ends in between leaves no checkpoint with a hole.
        let away = folder.join(format!("{UNFINISHED}removed-{step}"));
        fs::rename(&oldest, &away).map_err(RuntimeError::io("cannot remove", &oldest))?;
        fs::remove_dir_all(&away).map_err(RuntimeError::io("cannot remove", &away))?;
    }
    Ok(place)
}

fn load_tensors(path: &Path) -> Result<HashMap<String, Tensor>, RuntimeError> {
    if !path.exists() {
        return Ok(HashMap::new());
    }
    candle_core::safetensors::load(path, &Device::Cpu)
        .map_err(|e| RuntimeError::format(path, e.to_string()))
}

/// Reads a checkpoint's numbers.
pub(super) fn load_state(checkpoint: &Path) -> Result<State, RuntimeError> {
    let path = checkpoint.join(STATE);
    let text = fs::read(&path).map_err(RuntimeError::io("cannot read", &path))?;
    let state: State =
        serde_json::from_slice(&text).map_err(|e| RuntimeError::format(&path, e.to_string()))?;
    if state.version != VERSION {
        let reason = format!("version {}, this program reads {VERSION}", state.version);
        return Err(RuntimeError::format(&path, reason));
    }
    Ok(state)
}

/// Puts a checkpoint's weights and optimiser states in place; nothing changes on an error.
pub(super) fn restore(
    checkpoint: &Path,
    step: usize,
    trained: &mut [(&[(String, Var)], &mut AdamW)],
    data: [&dyn Examples; 2],
    grain: Grain,
) -> Result<ReferenceLogProbs, RuntimeError> {
    let path = checkpoint.join(WEIGHTS);
    let weights = load_tensors(&path)?;
    let mut new = Vec::new();
    for (name, v) in trained.iter().flat_map(|(variables, _)| *variables) {
        let tensor = weights.get(name).filter(|t| t.dims() == v.dims() && t.dtype() == v.dtype());
        let tensor = tensor.ok_or_else(|| {
            RuntimeError::format(&path, format!("no fitting weights for `{name}`: another model?"))
        })?;
        new.push((v, tensor));
    }
    if weights.len() != new.len() {
        let reason = format!(
            "{} tensors for {} trainable variables: another model?",
            weights.len(),
            new.len()
        );
        return Err(RuntimeError::format(&path, reason));
    }
    let path = checkpoint.join(REFERENCE);
    let reference = ReferenceLogProbs::from_tensors(&load_tensors(&path)?, &path, data, grain)?;
    let mut moments = load_tensors(&checkpoint.join(OPTIMISER))?;
    for (variables, optimiser) in trained.iter_mut() {
        let mut own = HashMap::new();
        for name in
            variables.iter().flat_map(|(n, _)| [format!("first.{n}"), format!("second.{n}")])
        {
            own.extend(moments.remove_entry(&name));
        }
        optimiser.restore(&own, step as u64)?;
    }
    for (v, tensor) in new {
        v.set(tensor)?;
    }
    Ok(reference)
}
