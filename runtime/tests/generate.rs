//! Generation on a small model: the decoder's memory, ends, seeds.

// Helpers of a test fail as the test does.
#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;

use candle_core::Device;
use ponens_runtime::{
    generate::{BeamOptions, End, Generated, Options, Sampling, beam_search, generate},
    model::{CausalLm, Config, Decoder, Llama, LoraConfig, Rows},
};

fn model(context: usize) -> Llama {
    let config = Config::small(11, 16, 2, 4, 2, context).unwrap();
    Llama::random(config, 2, &Device::Cpu).unwrap()
}

fn run(model: &Llama, prompt: &[u32], options: &Options) -> Generated {
    generate(model, prompt, options, |_| ControlFlow::Continue(())).unwrap()
}

fn logp(logits: &[f32], id: u32) -> f64 {
    let sum: f64 = logits.iter().map(|l| f64::from(*l).exp()).sum();
    f64::from(logits[id as usize]) - sum.ln()
}

#[test]
fn the_decoder_and_the_batched_pass_agree_however_the_text_is_cut() {
    let model = model(600).with_adapter(&LoraConfig::default(), 1).unwrap();
    // Longer than the decoder's first memory, so that it grows.
    let ids: Vec<u32> = (0..300).map(|i| i * i % 11).collect();
    let rows = Rows { ids: vec![ids.clone()], start: vec![1] };
    let expected = model.token_logps(&rows).unwrap().remove(0);
    for cut in [1, 7, 299] {
        let mut decoder = Decoder::new(&model);
        let mut at = 0;
        while at + 1 < ids.len() {
            let next = (at + cut).min(ids.len() - 1);
            let logits = decoder.advance(&ids[at..next]).unwrap();
            assert!((logp(&logits, ids[next]) - f64::from(expected[next - 1])).abs() < 1e-4);
            at = next;
        }
        assert_eq!(decoder.position(), 299);
    }
}

#[test]
fn texts_end_where_they_should() {
    let model = model(20);
    let options = |max_tokens| Options { max_tokens, ..Options::default() };
    let five = run(&model, &[1, 2, 3], &options(5));
    assert_eq!((five.ids.len(), five.end), (5, End::MaxTokens));
    let full = run(&model, &[1, 2, 3], &options(100));
    // The last token needs no place of its own.
    assert_eq!((full.ids.len(), full.end), (18, End::Context));
    assert_eq!(full.ids[..5], five.ids);
    let stop = Options { stop: vec![five.ids[2]], ..options(100) };
    let stopped = run(&model, &[1, 2, 3], &stop);
    assert_eq!(stopped.end, End::Stop);
    assert_eq!(stopped.ids.last(), Some(&five.ids[2]));
    let broken = generate(&model, &[1], &options(9), |_| ControlFlow::Break(())).unwrap();
    assert_eq!((broken.ids.len(), broken.end), (1, End::Caller));
    assert!(run(&model, &[1], &options(0)).ids.is_empty());
}

#[test]
fn the_seed_decides_a_sampled_text() {
    let model = model(64);
    let options = |seed| Options {
        max_tokens: 40,
        sampling: Sampling::Nucleus { temperature: 1.0, top_p: 0.9 },
        seed,
        stop: Vec::new(),
    };
    assert_eq!(run(&model, &[1], &options(3)), run(&model, &[1], &options(3)));
    assert_ne!(run(&model, &[1], &options(3)), run(&model, &[1], &options(4)));
}

#[test]
fn prompts_that_do_not_fit_are_errors() {
    let model = model(8);
    let fails = |prompt: &[u32]| {
        generate(&model, prompt, &Options::default(), |_| ControlFlow::Continue(()))
            .unwrap_err()
            .to_string()
    };
    assert!(fails(&[]).contains("no token"));
    assert!(fails(&[1; 9]).contains("takes 8"));
    assert!(fails(&[11]).contains("vocabulary of 11"));
}

/// A beam as wide as there are texts finds the best of all of them; one of width 1 is greedy.
#[test]
fn a_beam_search_finds_what_is_likely_as_a_whole() {
    let model = model(8);
    let prompt = [1u32, 2];
    let (vocabulary, length) = (11u32, 3usize);
    let eos: Vec<u32> = model.config().eos_token_ids.clone();
    assert!(eos.is_empty(), "every text is of full length but for the stop token");
    let stop = 4u32;
    // All texts: full length, or ended by the stop token.
    let mut texts: Vec<Vec<u32>> = vec![vec![]];
    let mut done: Vec<Vec<u32>> = Vec::new();
    for _ in 0..length {
        let mut longer = Vec::new();
        for t in texts {
            for id in 0..vocabulary {
                let new = [&t[..], &[id]].concat();
                if id == stop { done.push(new) } else { longer.push(new) }
            }
        }
        texts = longer;
    }
    done.extend(texts);
    let mut rows = Rows::default();
    done.iter().for_each(|t| rows.push(&prompt, t));
    let logps = model.completion_logps(&rows).unwrap();
    for length_power in [0.0, 1.0] {
        let worth = |i: usize| logps[i] / (done[i].len() as f64).powf(length_power);
        let best = (0..done.len()).max_by(|a, b| worth(*a).total_cmp(&worth(*b))).unwrap();
        let options =
            |width| BeamOptions { width, max_tokens: length, length_power, stop: vec![stop] };
        let wide = beam_search(&model, &prompt, &options(done.len() + 1)).unwrap();
        assert_eq!(wide.len(), done.len(), "every text is found");
        assert_eq!(wide[0].ids, done[best]);
        assert!((wide[0].logp - logps[best]).abs() < 1e-4);
        let one = beam_search(&model, &prompt, &options(1)).unwrap();
        let greedy = run(
            &model,
            &prompt,
            &Options { max_tokens: length, stop: vec![stop], ..Options::default() },
        );
        assert_eq!((&one[0].ids, one[0].end), (&greedy.ids, greedy.end));
    }
    // Six more tokens and the one that needs no place.
    let all = BeamOptions { width: 2, ..BeamOptions::default() };
    let full = beam_search(&model, &prompt, &all).unwrap();
    assert_eq!((full[0].ids.len(), full[0].end), (7, End::Context));
    assert!(beam_search(&model, &prompt, &BeamOptions { width: 0, ..all }).is_err());
}
