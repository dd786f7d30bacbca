//! A loss as a value: the entry for programs that load losses at run time.
//!
//! Why: a program that gets its losses from a file, a user or a search wants one object with what can
//! be done to it, and errors that it can show or handle. In: loss text, a catalogue name, a path. Out: a
//! [`Loss`], and from it the compiled graph, its logic, its relation to another loss, and a kernel that
//! runs. Invariants: everything here is an owned value, `Send + Sync`, and depends on its arguments
//! alone; wrong input is a [`Refusal`], never a panic.
//!
//! ```
//! use ponens::{Device, Loss};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mine = Loss::parse(
//!     "loss mine(beta = 0.1 in (0, inf)) {
//!          data  pair(w > l)
//!          model pi = policy
//!          model ref = reference
//!          prefer pi(l) & ref(w) -> pi(w) & ref(l)
//!          given  pi(l) & ref(w) | pi(w) & ref(l)
//!          tie    pi(l) & ref(w) & pi(w) & ref(l)
//!          minimize logistic(beta * rho)
//!      }",
//! )?;
//! // What it means: it is DPO.
//! assert!(mine.compare(&Loss::named("dpo")?)?.is_equal());
//!
//! // What it computes: one value an example, and the gradient of their sum.
//! let kernel = mine.with("beta", 0.5)?.kernel(Device::Cpu)?;
//! assert_eq!(kernel.columns(), ["logp(pi,w)", "logp(pi,l)", "logp(ref,w)", "logp(ref,l)"]);
//! let batch = kernel.evaluate(&[&[-10.0, -25.0], &[-22.0, -20.0], &[-12.0, -22.0], &[-20.0, -22.0]])?;
//! assert!(batch.loss[0] < batch.loss[1]);
//! assert!(batch.gradient("logp(pi,w)").is_some_and(|g| g.iter().all(|d| *d < 0.0)));
//! # Ok(())
//! # }
//! ```

mod logic;

pub(crate) use logic::decompile;
pub use logic::{Logic, no_logic};

use crate::compare::{self, Comparison};
use crate::kernel::{Device, Kernel};
use crate::locate::{self, Located};
use crate::refusal::{Refusal, Result};
use ponens_compiler::hir;
use ponens_compiler::mir::Param;
use ponens_compiler::session::{self, Compiled, Options};
use ponens_dsl::{Diagnostic, SourceMap};
use std::sync::Arc;

/// A loss whose names, types and levels are resolved, with the values given to its parameters.
///
/// Cloning is cheap: the text and the resolved form are shared.
#[derive(Clone, Debug)]
pub struct Loss {
    resolved: Arc<hir::Loss>,
    sources: Arc<SourceMap>,
    warnings: Arc<[Diagnostic]>,
    given: Vec<(String, f64)>,
}

impl Loss {
    /// Reads the text of one loss; functions and further texts may stand beside it by `import`, whose
    /// paths are relative to the working directory. Names that the text does not define, such as the
    /// base of a variant, are those of the catalogue.
    ///
    /// # Errors
    /// Every finding of the grammar and of names, types and levels, with its place in the text; `E0103`
    /// when the text defines no loss or several.
    ///
    /// ```
    /// use ponens::Loss;
    ///
    /// let hinged = Loss::parse("loss hinged = dpo with { link = hinge(1) }")?;
    /// assert_eq!(hinged.name(), "hinged");
    ///
    /// let refused = Loss::parse("loss a() { data pair(w > l) model pi = policy minimize rh }").unwrap_err();
    /// assert_eq!(refused.codes(), ["E0101"]);
    /// assert!(refused.text().contains("nothing here is called `rh`"));
    /// # Ok::<(), Box<ponens::Refusal>>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self> {
        Self::resolved(locate::only_in_text(text)?)
    }

    /// A loss of the catalogue by its name: `dpo`, `lattice.ORPO_ref`.
    ///
    /// # Errors
    /// `E0103`, with the closest name as help.
    ///
    /// ```
    /// use ponens::Loss;
    ///
    /// assert_eq!(Loss::named("simpo")?.parameters().len(), 2);
    /// let refused = Loss::named("dpoo").unwrap_err();
    /// assert_eq!(refused.diagnostics[0].help.as_deref(), Some("did you mean `dpo`?"));
    /// # Ok::<(), Box<ponens::Refusal>>(())
    /// ```
    pub fn named(name: &str) -> Result<Self> {
        Self::resolved(locate::in_catalogue(name.to_owned())?)
    }

    /// Reads a loss as the command line names it: `dpo`, `file.loss`, `file.loss:name`.
    ///
    /// # Errors
    /// Those of [`Loss::parse`] and [`Loss::named`]; `E0003` and `E0002` for the file itself.
    pub fn open(argument: &str) -> Result<Self> {
        Self::resolved(locate::locate(argument)?)
    }

    fn resolved(located: Located) -> Result<Self> {
        let (loss, located) = located.resolve()?;
        Ok(Self {
            resolved: Arc::new(loss),
            sources: Arc::new(located.program.sources),
            warnings: located.warnings.into(),
            given: Vec::new(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.resolved.name
    }

    /// Its parameters in order, with ranges and defaults.
    pub fn parameters(&self) -> &[Param] {
        &self.resolved.params
    }

    /// What deserves attention and is no error.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// The resolved form: models, columns, expressions.
    pub fn hir(&self) -> &hir::Loss {
        &self.resolved
    }

    /// The same loss with a value for one of its parameters.
    ///
    /// # Errors
    /// `E0303`: it has no such parameter. `E0301`: the value lies outside its range.
    ///
    /// ```
    /// use ponens::Loss;
    ///
    /// let refused = Loss::named("dpo")?.with("beta", -1.0).unwrap_err();
    /// assert_eq!(refused.codes(), ["E0301"]);
    /// # Ok::<(), Box<ponens::Refusal>>(())
    /// ```
    pub fn with(mut self, parameter: &str, value: f64) -> Result<Self> {
        let one = [(parameter.to_owned(), value)];
        let own = self.parameters().iter().filter(|p| p.name == parameter).cloned();
        let own: Vec<Param> = own.collect();
        // A name that is not there is looked for among all, so that the closest one can be offered.
        let among = if own.is_empty() { self.parameters() } else { &own };
        if let Err(mut found) = session::bind(self.name(), among, &one) {
            found.retain(|d| !own.is_empty() || d.code == "E0303");
            return Err(self.refuse(found));
        }
        let [one] = one;
        self.given.retain(|(name, _)| *name != one.0);
        self.given.push(one);
        Ok(self)
    }

    /// The values of its parameters in order.
    ///
    /// # Errors
    /// `E0302`: a parameter has no default and was given no value.
    pub fn values(&self) -> Result<Vec<f64>> {
        session::bind(self.name(), self.parameters(), &self.given).map_err(|d| self.refuse(d))
    }

    /// Brings value and gradients into their stable form.
    ///
    /// # Errors
    /// `E0601`: an operation is undefined on a part of the domain. `E0602`: the rewriter met a limit.
    ///
    /// ```
    /// use ponens::{Loss, Options};
    ///
    /// let dpo = Loss::named("dpo")?.compile(&Options::default())?;
    /// assert!(dpo.graph().root("d/logp(pi,w)").is_some());
    /// # Ok::<(), Box<ponens::Refusal>>(())
    /// ```
    pub fn compile(&self, options: &Options) -> Result<Compiled> {
        let found = self.warnings.to_vec();
        session::compile_resolved((*self.resolved).clone(), found, options)
            .map_err(|d| self.refuse(d))
    }

    /// The logic in it: `prefer`, `given` and `tie`, the truth table, the steps that lead there, judged
    /// anew by the checker.
    ///
    /// # Errors
    /// `E0501`: rho is no logic; the reason, the place and the nearest reading are in the diagnostic.
    ///
    /// ```
    /// use ponens::Loss;
    ///
    /// let logic = Loss::named("orpo")?.decompile()?;
    /// assert_eq!(logic.core.p, "pi(l) -> pi(w)");
    /// assert_eq!(logic.core.given, "pi(w) xor pi(l)");
    ///
    /// let squared = "loss a() { data pair(w > l) model pi = policy
    ///     rho = log(pi(w) * pi(w) / pi(l)) minimize logistic(rho) }";
    /// assert_eq!(Loss::parse(squared)?.decompile().unwrap_err().codes(), ["E0501"]);
    /// # Ok::<(), Box<ponens::Refusal>>(())
    /// ```
    pub fn decompile(&self) -> Result<Logic> {
        decompile(&self.resolved).map_err(|d| self.refuse(vec![d]))
    }

    /// How it stands to another loss: by structure, rho, core and value, each at its parameters' values;
    /// models and responses are matched by role and rank. The relation's proof has been judged anew.
    ///
    /// # Errors
    /// Either loss does not compile or lacks a parameter's value; `E0603`: the judge refuses a proof.
    ///
    /// ```
    /// use ponens::Loss;
    /// use ponens::compiler::relate::Order;
    ///
    /// let stronger = Loss::named("lattice.ORPO")?.compare(&Loss::named("lattice.cCPO")?)?;
    /// assert_eq!(stronger.order(), Some(Order::Entails));
    /// # Ok::<(), Box<ponens::Refusal>>(())
    /// ```
    pub fn compare(&self, other: &Loss) -> Result<Comparison> {
        let options = Options::default();
        let (a, b) = (self.compile(&options)?, other.compile(&options)?);
        let (x, y) = (self.values()?, other.values()?);
        Ok(compare::compare((&a, &x), (&b, &y)).judged()?)
    }

    /// A kernel that evaluates it and its gradients, at its parameters' values.
    ///
    /// # Errors
    /// Those of [`Loss::compile`] and [`Loss::values`]; `E0702`: the device is not there; `E0205`: the
    /// kernels of this device do not run losses over such data.
    ///
    /// ```
    /// use ponens::{Device, Loss};
    ///
    /// let kernel = Loss::named("simpo")?.kernel(Device::Cpu)?;
    /// let one = kernel.evaluate(&[&[-0.5], &[-0.7]])?;
    /// assert!((one.loss[0] - 0.7443966600735709).abs() < 1e-15);
    /// # Ok::<(), Box<ponens::Refusal>>(())
    /// ```
    pub fn kernel(&self, device: Device) -> Result<Kernel> {
        let compiled = self.compile(&Options::default())?;
        Kernel::new(&compiled, &self.values()?, device)
    }

    fn refuse(&self, diagnostics: Vec<Diagnostic>) -> Box<Refusal> {
        Refusal::new((*self.sources).clone(), diagnostics)
    }
}
