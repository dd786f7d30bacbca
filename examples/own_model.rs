//! A candle model of one's own, trained with a loss of the catalogue straight from its logits.
//!
//! The model is a bigram table: the logits of the next letter, by the letter before. The data prefer words
//! in the order of the alphabet to the same words reversed.
//!
//! ```text
//! cargo run -p ponens --example own_model
//! ```

use ponens::candle::{DType, Tensor, Var};
use ponens::runtime::op::TokenRows;
use ponens::runtime::op::{Column, Columns};
use ponens::{Device, Loss, candle};
use std::sync::Arc;

const LETTERS: usize = 8;

/// Words as token rows: the letter before each letter, the letter, and the word that it belongs to.
fn rows(words: &[Vec<u32>]) -> Result<(Vec<u32>, TokenRows), Box<dyn std::error::Error>> {
    let (mut before, mut targets, mut sequence) = (Vec::new(), Vec::new(), Vec::new());
    for (s, word) in words.iter().enumerate() {
        for pair in word.windows(2) {
            before.push(pair[0]);
            targets.push(pair[1]);
            sequence.push(Some(s as u32));
        }
    }
    Ok((before, TokenRows::new(targets, sequence, words.len())?))
}

/// How many of the preferred words the model finds likelier than their reversal.
fn accuracy(table: &Tensor, words: &[Vec<u32>]) -> candle::Result<f64> {
    let logits = table.to_vec2::<f32>()?;
    let logp = |a: u32, b: u32| -> f64 {
        let row = &logits[a as usize];
        let sum: f64 = row.iter().map(|x| f64::from(*x).exp()).sum();
        f64::from(row[b as usize]) - sum.ln()
    };
    let sums: Vec<f64> =
        words.iter().map(|w| w.windows(2).map(|p| logp(p[0], p[1])).sum()).collect();
    let right = sums.chunks(2).filter(|pair| pair[0] > pair[1]).count();
    Ok(right as f64 / (sums.len() / 2) as f64)
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Preferred words and their reversals, one after the other: word 2k is chosen, word 2k + 1 rejected.
    let mut words: Vec<Vec<u32>> = Vec::new();
    for start in 0..LETTERS as u32 - 3 {
        let word: Vec<u32> = (start..start + 4).collect();
        words.push(word.clone());
        words.push(word.into_iter().rev().collect());
    }
    let pairs = words.len() / 2;
    let (before, rows) = rows(&words)?;
    let rows = Arc::new(rows);

    // SimPO reads the mean log-probability of both words under the policy.
    let kernel = Loss::named("simpo")?.with("beta", 2.0)?.kernel(Device::Cpu)?;
    println!("{} reads {}", kernel.name(), kernel.columns().join(", "));
    let column = |rejected: usize| Column::Mean((0..pairs).map(|k| 2 * k + rejected).collect());
    let columns = Columns::new(vec![column(0), column(1)], rows.lengths().to_vec())?;

    let cpu = candle::Device::Cpu;
    let table = Var::zeros((LETTERS, LETTERS), DType::F32, &cpu)?;
    let index = Tensor::new(before, &cpu)?;
    println!("accuracy before: {:.2}", accuracy(&table, &words)?);
    for step in 0..=40 {
        let logits = table.index_select(&index, 0)?;
        let loss = kernel.from_logits(&logits, None, rows.clone(), columns.clone())?;
        if step % 10 == 0 {
            println!("step {step:2}: loss {:.4}", loss.to_scalar::<f32>()?);
        }
        let gradients = loss.backward()?;
        let slope = gradients.get(&table).ok_or("no gradient reaches the table")?;
        table.set(&(table.as_tensor() - slope.affine(4.0, 0.0)?)?)?;
    }
    let after = accuracy(&table, &words)?;
    println!("accuracy after: {after:.2}");
    if after == 1.0 { Ok(()) } else { Err("the model did not learn the order".into()) }
}
