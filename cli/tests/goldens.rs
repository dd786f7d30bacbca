//! Every reference record of published losses against the compiled ones.
//!
//! The records were computed with 60 digits, apart from this project. They go the way of `ponens value`:
//! JSON rows, binding, evaluation. Three comparisons a record:
//!
//! * f64, against the record: relative error at most 1e-12 max(1, |beta rho|);
//! * 256 bits, against the record: the nearest f64, or its neighbour;
//! * f32, against 256 bits at the inputs as rounded to f32: relative error at most 4e-6 max(1, |beta rho|).
//!
//! beta rho is the argument of the link; its rounding is the conditioning of the problem, and there is no
//! other allowance: a row that needs more is listed in `subject.rs` with the reason, and the reason is
//! checked. Results below the smallest normal number of the type are compared absolutely.

#[path = "goldens/backends.rs"]
mod backends;
#[path = "goldens/reference.rs"]
mod reference;
#[path = "goldens/subject.rs"]
mod subject;
#[path = "goldens/torch.rs"]
mod torch;

use ponens::compiler::codegen::interp::{Big, Real};
use ponens::value::{self, Batching, Bound, Engine, Outcome, Rows};
use reference::{Goldens, Record};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use subject::{Reason, Subject};

const F64_TOLERANCE: f64 = 1e-12;
const F32_TOLERANCE: f64 = 4e-6;

/// Values with the tolerance and floor of their type.
struct Side {
    what: &'static str,
    tolerance: f64,
    /// Below this magnitude the type has few digits, and the comparison is absolute.
    floor: f64,
    /// Above this magnitude the type has only infinity.
    ceiling: f64,
}

impl Side {
    fn agrees(&self, expected: f64, got: f64) -> bool {
        if expected.is_nan() || got.is_nan() {
            return false;
        }
        if expected.abs() >= self.ceiling {
            return got == f64::INFINITY.copysign(expected)
                || (got - expected).abs() <= expected.abs() * self.tolerance;
        }
        (got - expected).abs() <= (expected.abs() * self.tolerance).max(self.floor)
    }
}

/// A row that does not meet its record.
struct Failure {
    record: String,
    id: String,
    misses: Vec<Miss>,
    /// True when a last digit of the data matters more.
    within_data: bool,
}

/// One result that is off.
struct Miss {
    /// The type.
    what: &'static str,
    name: String,
    place: usize,
    want: f64,
    have: f64,
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Miss { what, name, place, want, have } = self;
        let off = ((have - want) / want).abs();
        write!(f, "{what} {name}[{place}]: expected {want:e}, got {have:e}, off {off:.1e}; ")
    }
}

impl Failure {
    /// True when the listed reason accounts for all of it.
    fn is_excused(&self) -> bool {
        match subject::known(&self.record, &self.id) {
            Some(Reason::Conditioning) => !self.misses.is_empty() && self.within_data,
            Some(Reason::Overflow(results)) => {
                let found: Vec<_> = self.misses.iter().map(|m| (m.what, m.name.as_str())).collect();
                found == results && self.misses.iter().all(|m| !m.have.is_finite())
            }
            None => false,
        }
    }
}

/// Everything a record's rows give in one type.
fn run<R: Real>(subject: &Subject, bound: &Bound) -> Vec<Outcome<R>> {
    value::evaluate::<R>(Engine::Interpreter, subject.graph(), &subject.params, bound)
        .expect("the graph fits the rows")
}

fn bind(
    subject: &Subject,
    lines: &[String],
    batching: Batching,
) -> Result<Bound, Vec<&'static str>> {
    let rows = Rows::from_text("golden", lines.join("\n")).expect("rows");
    value::bind(subject.loss(), &rows, batching)
        .map_err(|e| e.diagnostics.iter().map(|d| d.code).collect())
}

/// The same rows with every number rounded to f32.
fn rounded(bound: &Bound) -> Bound {
    let mut bound = bound.clone();
    for g in &mut bound.given {
        g.values.iter_mut().for_each(|x| *x = f64::from(*x as f32));
    }
    bound
}

/// Compares a value and its gradients; adds what disagrees.
fn compare(
    side: &Side,
    expected: &BTreeMap<String, Vec<f64>>,
    got: &BTreeMap<String, Vec<f64>>,
    out: &mut Vec<Miss>,
) {
    for (name, want) in expected {
        let have = got.get(name).unwrap_or_else(|| panic!("no {name} among the results"));
        assert_eq!(want.len(), have.len(), "{name}");
        for (i, (w, h)) in want.iter().zip(have).enumerate() {
            if !side.agrees(*w, *h) {
                let (what, name) = (side.what, name.clone());
                out.push(Miss { what, name, place: i, want: *w, have: *h });
            }
        }
    }
}

/// Loss and gradients by name, as f64.
fn named<R: Real>(o: &Outcome<R>) -> BTreeMap<String, Vec<f64>> {
    let grad = o.grad.iter().map(|(n, v)| (n.clone(), v.iter().map(Real::to_f64).collect()));
    grad.chain([("loss".to_owned(), vec![o.loss.to_f64()])]).collect()
}

/// How far each result moves when every number of the data and every parameter moves by one unit in the
/// last place of a type: what no evaluation in that type can be asked to see.
fn sensitivity(
    subject: &Subject,
    bound: &Bound,
    row: usize,
    epsilon: f64,
) -> BTreeMap<String, f64> {
    let at = |bound: &Bound, params: &[f64]| {
        let all = value::evaluate::<Big>(Engine::Interpreter, subject.graph(), params, bound)
            .expect("the graph fits");
        named(&all[row])
    };
    let base = at(bound, &subject.params);
    let mut total: BTreeMap<String, f64> = base.keys().map(|n| (n.clone(), 0.0)).collect();
    let mut add = |moved: BTreeMap<String, Vec<f64>>| {
        for (name, v) in moved {
            *total.get_mut(&name).expect("the same results") += (v[0] - base[&name][0]).abs();
        }
    };
    for g in 0..bound.given.len() {
        let mut moved = bound.clone();
        if moved.given[g].real {
            moved.given[g].values[row] *= 1.0 + epsilon;
            add(at(&moved, &subject.params));
        }
    }
    for p in 0..subject.params.len() {
        let mut params = subject.params.clone();
        params[p] *= 1.0 + epsilon;
        add(at(bound, &params));
    }
    total
}

/// True when every result is as near as a unit in the last place of the data lets it be.
fn is_within_data(subject: &Subject, bound: &Bound, expected: &BTreeMap<String, Vec<f64>>) -> bool {
    let near =
        |x: &BTreeMap<String, Vec<f64>>, y: &BTreeMap<String, Vec<f64>>, bound: &Bound, e: f64| {
            let allowed = sensitivity(subject, bound, 0, e);
            y.iter()
                .filter(|(n, _)| x.contains_key(*n))
                .all(|(n, y)| (x[n][0] - y[0]).abs() <= allowed[n])
        };
    let rounded = rounded(bound);
    let exact = named(&run::<Big>(subject, &rounded)[0]);
    let (f32s, f64s) = (&run::<f32>(subject, &rounded)[0], &run::<f64>(subject, bound)[0]);
    near(&exact, &named(f32s), &rounded, f64::from(f32::EPSILON))
        && near(expected, &named(f64s), bound, f64::EPSILON)
}

/// All disagreements of a row or batch in three types.
fn disagreements(
    subject: &Subject,
    bound: &Bound,
    row: usize,
    expected: &BTreeMap<String, Vec<f64>>,
    condition: f64,
) -> Vec<Miss> {
    let mut out = Vec::new();
    let keep = |all: BTreeMap<String, Vec<f64>>| -> BTreeMap<String, Vec<f64>> {
        all.into_iter().filter(|(n, _)| expected.contains_key(n)).collect()
    };
    let f64s = keep(named(&run::<f64>(subject, bound)[row]));
    let tolerance = F64_TOLERANCE * condition;
    let side = Side { what: "f64", tolerance, floor: 1e-30, ceiling: f64::MAX };
    compare(&side, expected, &f64s, &mut out);
    let exact = keep(named(&run::<Big>(subject, bound)[row]));
    let side =
        Side { what: "exact", tolerance: 3e-16, floor: f64::MIN_POSITIVE, ceiling: f64::MAX };
    compare(&side, expected, &exact, &mut out);
    let rounded = rounded(bound);
    let exact = keep(named(&run::<Big>(subject, &rounded)[row]));
    let f32s = keep(named(&run::<f32>(subject, &rounded)[row]));
    let tolerance = F32_TOLERANCE * condition;
    let floor = f64::from(f32::MIN_POSITIVE);
    let side = Side { what: "f32", tolerance, floor, ceiling: f64::from(f32::MAX) };
    compare(&side, &exact, &f32s, &mut out);
    out
}

/// Checks one record; what does not meet it goes to `failures`.
fn check(record: &Record, goldens: &Goldens, failures: &mut Vec<Failure>) -> usize {
    let Some(subject) = subject::subject(record) else { return 0 };
    let mut checked = 0;
    for (i, input) in goldens.inputs(record).iter().enumerate() {
        let fail = |misses: Vec<Miss>| Failure {
            record: record.title(),
            id: input.id.clone(),
            misses,
            within_data: false,
        };
        let line = input.line(&subject.columns, record);
        let out_of_domain = input.has("out_of_domain") || input.has("nonfinite");
        let bound = match bind(&subject, &[line], Batching::Line) {
            Ok(bound) => bound,
            Err(codes) => {
                // A number outside its domain is refused, where the loss reads it.
                if !(out_of_domain && codes.iter().all(|c| *c == "E0405")) {
                    let name = format!("refused with {codes:?}");
                    let (want, have) = (f64::NAN, f64::NAN);
                    failures.push(fail(vec![Miss { what: "row", name, place: i, want, have }]));
                }
                checked += 1;
                continue;
            }
        };
        let Some(expected) = record.expected(i, input, &subject.columns) else { continue };
        let condition = input.condition(&subject);
        let misses = disagreements(&subject, &bound, 0, &expected, condition);
        if !misses.is_empty() {
            let within_data = is_within_data(&subject, &bound, &expected);
            failures.push(Failure { within_data, ..fail(misses) });
        }
        checked += 1;
    }
    checked
}

fn shown(misses: &[Miss]) -> String {
    misses.iter().map(Miss::to_string).collect()
}

#[test]
fn published_losses_meet_their_records() {
    let goldens = Goldens::load();
    let mut failures = Vec::new();
    let mut checked = 0;
    for record in &goldens.losses {
        let n = check(record, &goldens, &mut failures);
        assert!(n > 0, "{} is not compared", record.title());
        checked += n;
    }
    let (mut unmet, mut text) = (0, String::new());
    for f in failures.iter().filter(|f| !f.is_excused()) {
        unmet += 1;
        let _ = writeln!(
            text,
            "{} {} (within data: {}): {}",
            f.record,
            f.id,
            f.within_data,
            shown(&f.misses)
        );
    }
    assert!(unmet == 0, "{unmet} of {checked} rows do not meet their records:\n{text}");
    let stale = subject::stale(|r, id| failures.iter().any(|f| f.record == r && f.id == id));
    assert!(stale.is_empty(), "these exceptions are not needed any more: {stale:?}");
}

#[test]
fn batches_meet_their_records() {
    let goldens = Goldens::load();
    let mut text = String::new();
    for record in &goldens.batches {
        let Some(subject) = subject::subject(record) else { panic!("{}", record.title()) };
        let inputs = goldens.inputs(record);
        let lines: Vec<String> = inputs.iter().map(|i| i.line(&subject.columns, record)).collect();
        let bound = bind(&subject, &lines, Batching::All).expect("rows of numbers");
        let Some(expected) = record.expected_batch(&subject.columns) else { continue };
        let condition = inputs.iter().map(|i| i.condition(&subject)).fold(1.0, f64::max);
        // A loss whose examples are independent gives a value a row; the record holds the mean.
        let coupled = value::is_batch_coupled(subject.graph());
        let misses = if coupled {
            disagreements(&subject, &bound, 0, &expected, condition)
        } else {
            mean_disagreements(&subject, &bound, &expected, condition)
        };
        if !misses.is_empty() {
            let _ = writeln!(text, "{}: {}", record.title(), shown(&misses));
        }
    }
    assert!(text.is_empty(), "{text}");
}

fn mean_disagreements(
    subject: &Subject,
    bound: &Bound,
    expected: &BTreeMap<String, Vec<f64>>,
    condition: f64,
) -> Vec<Miss> {
    let rows = run::<f64>(subject, bound);
    let n = rows.len() as f64;
    let mut got: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    got.insert("loss".to_owned(), vec![rows.iter().map(|o| o.loss).sum::<f64>() / n]);
    for o in &rows {
        for (name, v) in &o.grad {
            got.entry(name.clone()).or_default().extend(v.iter().map(|x| x / n));
        }
    }
    let mut out = Vec::new();
    let tolerance = F64_TOLERANCE * condition;
    let side = Side { what: "f64", tolerance, floor: 1e-30, ceiling: f64::MAX };
    compare(&side, expected, &got, &mut out);
    out
}
