//! The tensor-library back end: every scalar operation of a loss as tensor operations.
//!
//! In: a graph whose values live on the uniform, batch and example levels. Out: one tensor a root,
//! `[1]` for the outer levels and `[E]` for the example level. Invariant: values are those of the graph's
//! definition, and differentiating through the tape gives the graph's own derivative, also at kinks
//! (`max` has 0 there, where the library splits the gradient in halves) and at 0, where training starts.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use ponens_compiler::mir::{Binary, Graph, Level, NodeId, Op, Reduce, Unary};

use super::{RuntimeError, elementwise as el};

/// Emits the named roots.
///
/// `params[i]` is the value of parameter `i`; `inputs[i]` is a tensor `[E]`, or `[1]` for a value that
/// all examples share. All inputs have one float type, which is the type of the results.
///
/// # Errors
/// If a root is unknown, an input or parameter is missing, or an operation needs the candidate or token
/// level.
pub(super) fn emit(
    graph: &Graph,
    params: &[f64],
    inputs: &[Tensor],
    roots: &[NodeId],
) -> Result<Vec<Tensor>> {
    let fail = |reason: String| RuntimeError::Loss { loss: graph.name.clone(), reason };
    if params.len() != graph.params.len() || inputs.len() != graph.inputs.len() {
        return Err(fail(format!(
            "{} parameters and {} inputs given, {} and {} wanted",
            params.len(),
            inputs.len(),
            graph.params.len(),
            graph.inputs.len()
        )));
    }
    let examples = inputs.iter().map(Tensor::elem_count).max().unwrap_or(1);
    let mut emitter = Emitter {
        graph,
        params,
        inputs,
        examples,
        dtype: inputs.first().map_or(DType::F64, Tensor::dtype),
        device: inputs.first().map_or(Device::Cpu, |t| t.device().clone()),
        done: HashMap::new(),
    };
    // Operands have smaller indices: one sweep over what the roots reach, without recursion.
    let mut wanted = vec![false; graph.nodes.len()];
    for r in roots {
        match wanted.get_mut(r.0 as usize) {
            Some(w) => *w = true,
            None => return Err(fail(format!("no node {r}"))),
        }
    }
    for i in (0..wanted.len()).rev() {
        if wanted[i] {
            graph.nodes[i].op.operands().for_each(|o| wanted[o.0 as usize] = true);
        }
    }
    for i in (0..wanted.len()).filter(|&i| wanted[i]) {
        let id = NodeId(i as u32);
        let value = emitter.node(id)?;
        emitter.done.insert(id, value);
    }
    Ok(roots.iter().map(|r| emitter.done[r].clone()).collect())
}

struct Emitter<'a> {
    graph: &'a Graph,
    params: &'a [f64],
    inputs: &'a [Tensor],
    examples: usize,
    dtype: DType,
    device: Device,
    done: HashMap<NodeId, Tensor>,
}

type Result<T> = std::result::Result<T, RuntimeError>;

/// `x - x` with the gradient of x: what carries a derivative that the tape does not know. Infinite
/// values carry none, for their difference is NaN.
fn carrier(x: &Tensor) -> Result<Tensor> {
    let zeros = x.zeros_like()?;
    let finite = x.detach().abs()?.lt(f64::INFINITY)?;
    let x = finite.where_cond(x, &zeros)?;
    Ok((&x - x.detach())?)
}

/// A tensor of the given value whose gradient with respect to each operand is the given factor; an
/// infinite factor becomes the largest number, for inf times the carrier's 0 would spoil the value.
fn linearised(value: Tensor, terms: &[(&Tensor, Tensor)]) -> Result<Tensor> {
    let mut out = value.detach();
    for (x, derivative) in terms {
        if x.track_op() {
            let largest = if x.dtype() == DType::F32 { f64::from(f32::MAX) } else { f64::MAX };
            let derivative = derivative.detach().clamp(-largest, largest)?;
            out = out.broadcast_add(&(derivative * carrier(x)?)?)?;
        }
    }
    Ok(out)
}

impl Emitter<'_> {
    fn scalar(&self, value: f64) -> Result<Tensor> {
        Ok(Tensor::from_slice(&[value], 1, &self.device)?.to_dtype(self.dtype)?)
    }

    fn unsupported<T>(&self, id: NodeId) -> Result<T> {
        let node = self.graph.node(id);
        Err(RuntimeError::Unsupported(format!(
            "loss `{}`: {:?} at the {} level has no tensor form",
            self.graph.name, node.op, node.level
        )))
    }

    fn node(&self, id: NodeId) -> Result<Tensor> {
        let node = self.graph.node(id);
        if node.level > Level::Example {
            return self.unsupported(id);
        }
        let get = |o: NodeId| &self.done[&o];
        match node.op {
            Op::Const(c) => self.scalar(c),
            Op::Param(p) => self.scalar(self.params[p as usize]),
            Op::Input(i) => Ok(self.inputs[i as usize].clone()),
            Op::Unary(op, a) => unary(op, get(a)),
            Op::Binary(op, a, b) => {
                let (a, b) = same_shape(get(a), get(b))?;
                binary(op, &a, &b)
            }
            Op::Select(c, a, b) => {
                let (a, b) = same_shape(get(a), get(b))?;
                let (c, a) = same_shape(get(c), &a)?;
                let (c, b) = same_shape(&c, &b)?;
                Ok(c.detach().gt(0.0)?.where_cond(&a, &b)?)
            }
            Op::Reduce(op, a) if self.along_batch(a, node.level) => {
                reduce(op, &self.broadcast(get(a))?)
            }
            // The loop of an outer level has one turn.
            Op::Reduce(_, a) => Ok(get(a).clone()),
            Op::Count(a) if self.along_batch(a, node.level) => self.scalar(self.examples as f64),
            Op::Count(_) => self.scalar(1.0),
            Op::Sort(a) | Op::PrefixSum(a) | Op::SuffixSum(a) if node.level < Level::Example => {
                Ok(get(a).clone())
            }
            Op::Unsort(g, _) if node.level < Level::Example => Ok(get(g).clone()),
            Op::Shift(a, n) if node.level < Level::Example => shift(get(a), n),
            Op::Sort(a) => {
                let x = self.broadcast(get(a))?;
                gather(&x, &order(&x)?)
            }
            Op::Unsort(g, key) => {
                let order = order(&self.broadcast(get(key))?)?;
                let mut rank = vec![0u32; order.len()];
                order.iter().enumerate().for_each(|(r, &e)| rank[e as usize] = r as u32);
                gather(&self.broadcast(get(g))?, &rank)
            }
            Op::PrefixSum(a) => Ok(self.broadcast(get(a))?.cumsum(0)?),
            Op::SuffixSum(a) => {
                let reverse: Vec<u32> = (0..self.examples as u32).rev().collect();
                let x = gather(&self.broadcast(get(a))?, &reverse)?;
                gather(&x.cumsum(0)?, &reverse)
            }
            Op::Shift(a, n) => shift(&self.broadcast(get(a))?, n),
            // Only losses over candidates and tokens have these.
            Op::LogSumExps(..) | Op::Recurrence(..) | Op::Position(_) => self.unsupported(id),
        }
    }

    /// True for a reduction over the examples of the batch.
    fn along_batch(&self, operand: NodeId, level: Level) -> bool {
        self.graph.node(operand).level == Level::Example && level < Level::Example
    }

    fn broadcast(&self, x: &Tensor) -> Result<Tensor> {
        Ok(if x.elem_count() == self.examples { x.clone() } else { x.broadcast_as(self.examples)? })
    }
}

fn same_shape(a: &Tensor, b: &Tensor) -> Result<(Tensor, Tensor)> {
    Ok(match (a.elem_count(), b.elem_count()) {
        (m, n) if m < n => (a.broadcast_as(n)?, b.clone()),
        (m, n) if m > n => (a.clone(), b.broadcast_as(m)?),
        _ => (a.clone(), b.clone()),
    })
}

fn gather(x: &Tensor, index: &[u32]) -> Result<Tensor> {
    Ok(x.contiguous()?.index_select(&Tensor::from_slice(index, index.len(), x.device())?, 0)?)
}

/// The places of the values in ascending order; equal values keep theirs, NaN comes last.
fn order(x: &Tensor) -> Result<Vec<u32>> {
    let values = x.detach().to_dtype(DType::F64)?.to_vec1::<f64>()?;
    let mut order: Vec<u32> = (0..values.len() as u32).collect();
    order.sort_by(|&i, &j| {
        let (a, b) = (values[i as usize], values[j as usize]);
        a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
    });
    Ok(order)
}

fn shift(x: &Tensor, places: i8) -> Result<Tensor> {
    let len = x.elem_count();
    let n = (places.unsigned_abs() as usize).min(len);
    let pad = Tensor::zeros(n, x.dtype(), x.device())?;
    Ok(match places {
        0 => x.clone(),
        _ if n == len => pad,
        1.. => Tensor::cat(&[&x.narrow(0, n, len - n)?, &pad], 0)?,
        _ => Tensor::cat(&[&pad, &x.narrow(0, 0, len - n)?], 0)?,
    })
}

fn unary(op: Unary, x: &Tensor) -> Result<Tensor> {
    let v = x.detach();
    let (value, derivative) = match op {
        Unary::Neg => return Ok(x.neg()?),
        Unary::StopGradient => return Ok(v),
        Unary::Step => return Ok(el::step(&v)?),
        Unary::Sign => return Ok(el::sign(&v)?),
        Unary::Exp => (v.exp()?, v.exp()?),
        Unary::Log => (v.log()?, v.recip()?),
        Unary::Log1p => (el::log1p(&v)?, v.affine(1.0, 1.0)?.recip()?),
        Unary::Expm1 => (el::expm1(&v)?, v.exp()?),
        Unary::Log1mExp => (el::log1mexp(&v)?, el::expm1(&v.neg()?)?.recip()?.neg()?),
        Unary::Softplus => (el::softplus(&v)?, el::sigmoid(&v)?),
        Unary::Sigmoid => (el::sigmoid(&v)?, (el::sigmoid(&v)? * el::sigmoid(&v.neg()?)?)?),
        Unary::Abs => (v.abs()?, el::sign(&v)?),
    };
    linearised(value, &[(x, derivative)])
}

fn binary(op: Binary, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (va, vb) = (a.detach(), b.detach());
    let (value, da, db) = match op {
        Binary::Add => return Ok((a + b)?),
        Binary::Sub => return Ok((a - b)?),
        Binary::Mul => return Ok((a * b)?),
        Binary::Div => return Ok((a / b)?),
        Binary::Max | Binary::Min => {
            let above = va.gt(&vb)?.to_dtype(va.dtype())?;
            let below = va.lt(&vb)?.to_dtype(va.dtype())?;
            match op {
                Binary::Max => (va.maximum(&vb)?, above, below),
                _ => (va.minimum(&vb)?, below, above),
            }
        }
        Binary::Pow => {
            let value = el::pow(&va, &vb)?;
            let da = (&vb * el::pow(&va, &vb.affine(1.0, -1.0)?)?)?;
            // A constant in a; 0 * inf at a = 0.
            let da = vb.eq(0.0)?.where_cond(&da.zeros_like()?, &da)?;
            let at_zero = va.eq(0.0)?;
            let db = at_zero.where_cond(&value.zeros_like()?, &(&value * va.log()?)?)?;
            (value, da, db)
        }
        Binary::LogAddExp => {
            let gap = (&va - &vb)?;
            // Two equal infinities share the gradient, as two equal numbers do.
            let gap = va.eq(&vb)?.where_cond(&gap.zeros_like()?, &gap)?;
            (el::log_add_exp(&va, &vb)?, el::sigmoid(&gap)?, el::sigmoid(&gap.neg()?)?)
        }
    };
    linearised(value, &[(a, da), (b, db)])
}

fn reduce(op: Reduce, x: &Tensor) -> Result<Tensor> {
    Ok(match op {
        Reduce::Sum => x.sum_keepdim(0)?,
        Reduce::Mean => x.mean_keepdim(0)?,
        Reduce::Max => x.max_keepdim(0)?,
        Reduce::LogSumExp => {
            let v = x.detach();
            let max = v.max_keepdim(0)?;
            let e = v.broadcast_sub(&max)?.exp()?;
            let sum = e.sum_keepdim(0)?;
            let value = (max + sum.log()?)?;
            let weighted = (e.broadcast_div(&sum)? * carrier(x)?)?.sum_keepdim(0)?;
            (value + weighted)?
        }
    })
}
