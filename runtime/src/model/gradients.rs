//! Gradients by variable name.

use std::collections::HashMap;

use candle_core::{Tensor, TensorId, Var, backprop::GradStore};
use rayon::prelude::*;

use super::{
    error::{Error, Result},
    ops::slices::with_slice,
};

/// Gradients of trainable variables, in the order of the model's variables. Tensors are detached:
/// keeping them keeps no graph alive.
#[derive(Clone, Debug, Default)]
pub struct Gradients {
    entries: Vec<(String, Tensor)>,
}

impl Gradients {
    /// Gradients from names and tensors.
    #[must_use]
    pub fn new(entries: Vec<(String, Tensor)>) -> Self {
        let entries = entries.into_iter().map(|(name, t)| (name, t.detach())).collect();
        Self { entries }
    }

    /// Names and gradients, in the order of the model's variables.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.entries.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The gradient of one variable, if the backward pass reached it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.entries.iter().find(|(n, _)| n == name).map(|(_, t)| t)
    }

    /// Number of variables that have a gradient.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no variable has a gradient.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds the gradients of another batch of the same variables.
    ///
    /// # Errors
    /// If the variables differ.
    pub fn add_assign(&mut self, other: &Self) -> Result<()> {
        if self.entries.is_empty() {
            *self = other.clone();
            return Ok(());
        }
        let name = |g: &Self, i: usize| {
            g.entries.get(i).map_or_else(|| "(none)".to_owned(), |(n, _)| n.clone())
        };
        for i in 0..self.len().max(other.len()) {
            if name(self, i) != name(other, i) {
                return Err(Error::Gradients(name(self, i), name(other, i)));
            }
        }
        for ((_, sum), (_, part)) in self.entries.iter_mut().zip(&other.entries) {
            *sum = (&*sum + part)?.detach();
        }
        Ok(())
    }

    /// [`Gradients::add_assign`] of gradients that are not wanted any more: no more than one sum is held twice.
    ///
    /// # Errors
    /// If the variables differ.
    pub fn add(&mut self, other: Self) -> Result<()> {
        if self.entries.is_empty() {
            *self = other;
            return Ok(());
        }
        if self.len() != other.len() {
            let n = |g: &Self| format!("({} variables)", g.len());
            return Err(Error::Gradients(n(self), n(&other)));
        }
        for ((own, sum), (name, part)) in self.entries.iter_mut().zip(other.entries) {
            if *own != name {
                return Err(Error::Gradients(own.clone(), name));
            }
            *sum = (&*sum + part)?.detach();
        }
        Ok(())
    }

    /// Multiplies every gradient by `factor`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn scale(&mut self, factor: f64) -> Result<()> {
        for (_, tensor) in &mut self.entries {
            *tensor = (&*tensor * factor)?.detach();
        }
        Ok(())
    }

    /// Euclidean norm over all variables, summed in f64 in a fixed order.
    ///
    /// # Errors
    /// If the device fails.
    pub fn norm(&self) -> Result<f64> {
        let mut sum = 0f64;
        for (_, tensor) in &self.entries {
            sum += square_sum(tensor)?;
        }
        Ok(sum.sqrt())
    }

    /// Checks that every trainable variable has a gradient.
    ///
    /// # Errors
    /// Names the variables that have none.
    pub fn assert_all_reached(&self, trainable: &[(String, Var)]) -> Result<()> {
        let missing: Vec<String> = trainable
            .iter()
            .filter(|(name, _)| self.get(name).is_none())
            .map(|(name, _)| name.clone())
            .collect();
        if missing.is_empty() { Ok(()) } else { Err(Error::Unreached(missing)) }
    }
}

fn square_sum(tensor: &Tensor) -> Result<f64> {
    if !tensor.device().is_cpu() {
        return Ok(f64::from(tensor.sqr()?.sum_all()?.to_scalar::<f32>()?));
    }
    let parts: Vec<f64> = with_slice(tensor, |values| {
        let square = |v: &f32| f64::from(*v) * f64::from(*v);
        values.par_chunks(1 << 16).map(|chunk| chunk.iter().map(square).sum()).collect()
    })?;
    Ok(parts.iter().sum())
}

/// Collects gradients by variable while backward passes run, layer by layer.
pub(crate) struct Collector<'a> {
    trainable: &'a [(String, Var)],
    index: HashMap<TensorId, usize>,
    tensors: Vec<Option<Tensor>>,
}

impl<'a> Collector<'a> {
    pub(crate) fn new(trainable: &'a [(String, Var)]) -> Self {
        let index = trainable.iter().enumerate().map(|(i, (_, var))| (var.id(), i)).collect();
        Self { trainable, index, tensors: vec![None; trainable.len()] }
    }

    /// Adds a gradient of one variable; a tensor that is no variable of the model is ignored.
    pub(crate) fn add(&mut self, id: TensorId, gradient: &Tensor) -> Result<()> {
        let Some(&i) = self.index.get(&id) else { return Ok(()) };
        let gradient = gradient.detach();
        self.tensors[i] = Some(match self.tensors[i].take() {
            Some(sum) => (sum + gradient)?.detach(),
            None => gradient,
        });
        Ok(())
    }

    /// Takes back what has been collected for one variable.
    pub(crate) fn take(&mut self, id: TensorId) -> Option<Tensor> {
        self.index.get(&id).and_then(|&i| self.tensors[i].take())
    }

    /// Adds all gradients of a store.
    pub(crate) fn absorb(&mut self, store: &GradStore) -> Result<()> {
        for &id in store.get_ids() {
            if let Some(gradient) = store.get_id(id) {
                self.add(id, gradient)?;
            }
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Gradients {
        let entries = self
            .trainable
            .iter()
            .zip(self.tensors)
            .filter_map(|((name, _), tensor)| tensor.map(|t| (name.clone(), t)))
            .collect();
        Gradients { entries }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn gradients(values: &[(&str, f32)]) -> Gradients {
        let entry = |&(name, v): &(&str, f32)| {
            (name.to_owned(), Tensor::new(&[v, 2.0 * v], &Device::Cpu).unwrap())
        };
        Gradients::new(values.iter().map(entry).collect())
    }

    #[test]
    fn sums_scales_and_norms() {
        let mut sum = Gradients::default();
        sum.add_assign(&gradients(&[("a", 1.0), ("b", 2.0)])).unwrap();
        sum.add_assign(&gradients(&[("a", 2.0), ("b", -2.0)])).unwrap();
        assert_eq!(sum.get("a").unwrap().to_vec1::<f32>().unwrap(), [3.0, 6.0]);
        assert!((sum.norm().unwrap() - 45f64.sqrt()).abs() < 1e-12);
        sum.scale(0.5).unwrap();
        assert_eq!(sum.get("a").unwrap().to_vec1::<f32>().unwrap(), [1.5, 3.0]);
        let names: Vec<&str> = sum.iter().map(|(n, _)| n).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn gradients_of_different_variables_do_not_add_up() {
        let mut sum = gradients(&[("a", 1.0)]);
        assert!(sum.add_assign(&gradients(&[("b", 1.0)])).is_err());
        assert!(sum.add_assign(&gradients(&[("a", 1.0), ("b", 1.0)])).is_err());
    }

    #[test]
    fn a_variable_without_gradient_is_named() {
        let var = |name: &str| (name.to_owned(), Var::new(&[0f32], &Device::Cpu).unwrap());
        let error = gradients(&[("a", 1.0)]).assert_all_reached(&[var("a"), var("b")]).unwrap_err();
        assert!(error.to_string().ends_with("for b"), "{error}");
    }
}
