//! The progress of a run: a bar for people, a JSON line a record for programs.

use super::shown;
use crate::failure::Failure;
use crate::output::Ui;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ponens::runtime::train::{EvalRecord, Record};

/// Shows records as they come.
pub(super) struct Progress<'a> {
    ui: &'a mut Ui,
    bar: ProgressBar,
    /// The first failure to print, reported when the run has ended.
    failure: Option<Failure>,
}

impl<'a> Progress<'a> {
    /// A bar on standard error that appears with the first step.
    pub(super) fn new(ui: &'a mut Ui) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        Self { ui, bar, failure: None }
    }

    /// A bar for a part of the work that has no records, such as making a base model.
    pub(super) fn part(&mut self, steps: usize, step: usize, text: String) {
        if step == 1 {
            self.start(steps);
        }
        self.bar.set_position(step as u64);
        self.bar.set_message(text);
        if step == steps {
            self.bar.finish_and_clear();
        }
    }

    fn start(&mut self, steps: usize) {
        if self.ui.is_json() {
            return;
        }
        self.bar = ProgressBar::new(steps as u64);
        let style = ProgressStyle::with_template(
            "{bar:30} {pos}/{len}  {msg}  {elapsed} elapsed, {eta} left",
        );
        if let Ok(style) = style {
            self.bar.set_style(style);
        }
    }

    /// Shows one record.
    pub(super) fn record(&mut self, record: &Record) {
        let shown = if self.ui.is_json() { self.document(record) } else { self.text(record) };
        if let Err(e) = shown {
            self.failure.get_or_insert(e);
        }
    }

    fn document(&mut self, record: &Record) -> Result<(), Failure> {
        let value = serde_json::to_value(record).map_err(std::io::Error::from)?;
        self.ui.json_line(&value)
    }

    fn text(&mut self, record: &Record) -> Result<(), Failure> {
        match record {
            Record::Run(r) => {
                self.start(r.steps);
                self.line(format!(
                    "training {} numbers for {} steps on {} examples, {} held out",
                    grouped(r.trainable),
                    r.steps,
                    r.train_examples,
                    r.held_out_examples
                ))?;
                self.line(format!("reward: {}", r.reward))
            }
            Record::Resumed(r) => {
                self.start(r.steps);
                self.line(format!("going on after step {} of {}", r.step, r.steps))
            }
            Record::Step(s) => {
                self.bar.set_position(s.step as u64);
                self.bar.set_message(format!(
                    "loss {:.4}  accuracy {}  margin {}  {:.0} tokens/s",
                    s.loss,
                    shown::percent(s.accuracy),
                    shown::signed(s.margin),
                    s.tokens_per_second
                ));
                // Without a terminal there is no bar: say something now and then.
                if self.bar.is_hidden() && (s.step == 1 || s.step % 10 == 0) {
                    self.line(format!(
                        "step {:>4}  loss {:.4}  accuracy {}  margin {}  gradient {:.3}  {:.0} tokens/s",
                        s.step,
                        s.loss,
                        shown::percent(s.accuracy),
                        shown::signed(s.margin),
                        s.gradient_norm,
                        s.tokens_per_second
                    ))?;
                }
                Ok(())
            }
            Record::Eval(e) => self.line(evaluation(e)),
            Record::Saved(s) => self.line(format!("saved {}", s.path)),
        }
    }

    /// A line above the bar.
    pub(super) fn line(&mut self, text: String) -> Result<(), Failure> {
        if self.bar.is_hidden() {
            self.ui.line(text)?;
            return self.ui.flush();
        }
        let bar = self.bar.clone();
        bar.suspend(|| {
            self.ui.line(text)?;
            self.ui.flush()
        })
    }

    /// Ends the bar; the first failure to print, if there was one.
    pub(super) fn finish(self) -> Result<(), Failure> {
        self.bar.finish_and_clear();
        self.failure.map_or(Ok(()), Err)
    }
}

/// An evaluation on one line.
fn evaluation(e: &EvalRecord) -> String {
    let s = &e.summary;
    format!(
        "held out, step {:>4}  loss {:.4}  accuracy {}  margin {}  chosen {} a token ({} since the start)",
        e.step,
        s.loss,
        shown::percent(s.accuracy),
        shown::signed(s.margin),
        shown::signed(s.chosen_logp_per_token),
        shown::signed(e.chosen_change_per_token)
    )
}

/// A count with thin groups of three digits.
fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// The most memory that this process has held, in MiB, where the system says.
pub(super) fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024)
}
