//! Reading, refusing, tokenising, cutting, splitting.

use std::io::Cursor;
use std::path::Path;

use ponens_compiler::mir::Interval;
use proptest::prelude::*;

mod formats;

use super::*;
use crate::tokenizer::Message;

fn read(text: &[u8], options: &ReadOptions) -> Result<(Vec<TextExample>, ReadReport), DataError> {
    load_examples_from(Cursor::new(text), Path::new("data.jsonl"), options)
}

fn columns(names: &[(&str, Interval)]) -> ReadOptions {
    let columns =
        names.iter().map(|(n, range)| ColumnSpec { name: (*n).into(), range: *range }).collect();
    ReadOptions { columns, ..ReadOptions::default() }
}

fn codes(e: &DataError) -> Vec<(Option<usize>, &'static str)> {
    e.findings.iter().map(|f| (f.line, f.diagnostic.code)).collect()
}

fn text(s: &str) -> Turns {
    Turns::Text(s.into())
}

fn chat(turns: &[(&str, &str)]) -> Turns {
    let one = |(r, c): &(&str, &str)| Message { role: (*r).into(), content: (*c).into() };
    Turns::Chat(turns.iter().map(one).collect())
}

#[test]
fn strings_and_columns() {
    let data = "\u{feff}{\"prompt\": \"p\", \"chosen\": \"c\", \"rejected\": \"r\", \"margin\": 2, \"on\": true}\r\n\n\
                {\"rejected\": \"y\", \"margin\": -1.5e0, \"on\": false, \"prompt\": \"q\", \"chosen\": \"x\", \"id\": [1]}";
    let options = columns(&[("margin", Interval::REAL), ("on", Interval::closed(0.0, 1.0))]);
    let (rows, report) = read(data.as_bytes(), &options).expect("valid");
    assert_eq!(report, ReadReport { rows: 2, dropped_empty: 0 });
    assert_eq!((rows[0].row, rows[0].line), (0, 1));
    assert_eq!((rows[1].row, rows[1].line), (1, 3), "blank lines count as lines, not as rows");
    assert_eq!(rows[0].columns, [2.0, 1.0]);
    assert_eq!(rows[1].columns, [-1.5, 0.0]);
    assert_eq!(rows[1].responses[0], text("x"));
}

#[test]
fn conversations() {
    let u = r#"{"role":"user","content":"hi"}"#;
    let a = r#"{"role":"assistant","content":"good"}"#;
    let b = r#"{"role":"assistant","content":"bad"}"#;
    let want =
        (chat(&[("user", "hi")]), chat(&[("assistant", "good")]), chat(&[("assistant", "bad")]));
    for row in [
        // explicit prompt, with and without its repetition in the responses
        format!(r#"{{"prompt":[{u}],"chosen":[{a}],"rejected":[{b}]}}"#),
        format!(r#"{{"prompt":[{u}],"chosen":[{u},{a}],"rejected":[{u},{b}]}}"#),
        // implicit prompt, alone and beside the same question as a string
        format!(r#"{{"chosen":[{u},{a}],"rejected":[{u},{b}]}}"#),
        format!(r#"{{"prompt":"hi","chosen":[{u},{a}],"rejected":[{u},{b}]}}"#),
        format!(r#"{{"prompt":"hi","chosen":[{a}],"rejected":[{b}]}}"#),
    ] {
        let (rows, _) = read(row.as_bytes(), &ReadOptions::default()).expect("valid");
        let r = &rows[0];
        assert_eq!(
            (r.prompt.clone(), r.responses[0].clone(), r.responses[1].clone()),
            want,
            "{row}"
        );
    }
    let same = format!(r#"{{"chosen":[{u},{a}],"rejected":[{u},{a}]}}"#);
    let (rows, _) = read(same.as_bytes(), &ReadOptions::default()).expect("valid");
    assert_eq!(
        rows[0].responses[0], want.1,
        "of two equal conversations the last turn is the response"
    );
}

#[test]
fn errors_name_line_reason_and_remedy() {
    let data = b"{\"prompt\": \"p\", \"chosen\": \"c\"}\n\
        not json\n\
        [1]\n\
        {\"prompt\": 3, \"chosen\": \"c\", \"rejected\": [{\"role\": \"user\"}]}\n\
        {\"prompt\": \"p\", \"chosen\": \"\", \"rejected\": \"\"}\n\
        {\"prompt\": \"p\", \"chosen\": \"\xff\", \"rejected\": \"r\"}\n\
        {\"prompt\": \"p\", \"chosen\": [], \"rejected\": \"r\"}\n\
        {\"chosen\": \"c\", \"rejected\": \"r\"}\n";
    let error = read(data, &ReadOptions::default()).expect_err("wrong");
    assert_eq!(
        codes(&error),
        [
            (Some(1), "E0401"),
            (Some(2), "E0403"),
            (Some(3), "E0403"),
            (Some(4), "E0402"),
            (Some(4), "E0402"),
            (Some(5), "E0404"),
            (Some(5), "E0404"),
            (Some(6), "E0002"),
            (Some(7), "E0402"),
            (Some(8), "E0401"),
        ]
    );
    let shown = error.to_string();
    for part in [
        "data.jsonl:1: error[E0401]: no column `rejected`",
        "the row has: prompt, chosen",
        "needed: prompt, chosen, rejected",
        "column `prompt` is a number",
        "a message of `rejected` has no `content`",
        "the response `chosen` is empty",
        "byte 28 is not UTF-8",
    ] {
        assert!(shown.contains(part), "{part:?} not in\n{shown}");
    }
}

#[test]
fn equal_errors_are_counted_and_different_ones_limited() {
    let mut data = String::new();
    for i in 0..40 {
        data += "{\"prompt\": \"p\", \"chosen\": \"c\"}\n";
        data +=
            &format!("{{\"prompt\": \"p\", \"chosen\": \"c\", \"rejected\": \"r\", \"w\": {i}}}\n");
    }
    let error =
        read(data.as_bytes(), &columns(&[("w", Interval::closed(-1.0, 1.0))])).expect_err("wrong");
    assert_eq!(error.findings.len(), 10);
    assert_eq!(error.findings[0].rows, 40, "the missing column is one finding");
    // 38 values out of range and 40 rows without w, less the 9 others that are shown.
    assert_eq!(error.findings.iter().map(|f| f.rows).sum::<usize>() + error.omitted, 40 + 40 + 38);
    assert!(error.to_string().contains("more rows have other errors"));
}

#[test]
fn columns_are_checked() {
    let row =
        |w: &str| format!("{{\"prompt\":\"p\",\"chosen\":\"c\",\"rejected\":\"r\",\"w\":{w}}}");
    let options = columns(&[("w", Interval::closed(0.0, 1.0))]);
    for (value, code) in [("\"1\"", "E0402"), ("null", "E0402"), ("2", "E0405"), ("1e400", "E0403")]
    {
        let error = read(row(value).as_bytes(), &options).expect_err(value);
        assert_eq!(codes(&error), [(Some(1), code)], "{value}");
    }
    let absent = read(row("1").replace("\"w\"", "\"v\"").as_bytes(), &options).expect_err("absent");
    assert!(absent.to_string().contains("needed: prompt, chosen, rejected, w"), "{absent}");
}

#[test]
fn empty_responses_are_dropped_on_request() {
    let data = "{\"prompt\":\"p\",\"chosen\":\"\",\"rejected\":\"r\"}\n\
                {\"prompt\":\"p\",\"chosen\":\"c\",\"rejected\":\"r\"}\n";
    let options = ReadOptions { drop_empty: true, ..ReadOptions::default() };
    let (rows, report) = read(data.as_bytes(), &options).expect("valid");
    assert_eq!((rows.len(), rows[0].row), (1, 1), "the row keeps its number in the data");
    assert_eq!(report, ReadReport { rows: 2, dropped_empty: 1 });
    let only = &data[..data.find('\n').expect("line")];
    let error = read(only.as_bytes(), &options).expect_err("nothing left");
    assert_eq!(codes(&error), [(None, "E0406")]);
    assert_eq!(codes(&read(b"\n \n", &options).expect_err("no rows")), [(None, "E0406")]);
    let missing = load_examples(Path::new("/nowhere/x.jsonl"), &options).expect_err("no file");
    assert_eq!(codes(&missing), [(None, "E0003")]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes, &columns(&[("w", Interval::REAL)]));
    }

    #[test]
    fn any_json_is_read_or_refused(
        a in "[\\[\\]{}\":,a-e0-9 ]{0,20}", b in "[\\[\\]{}\":,a-e0-9 ]{0,20}",
    ) {
        let line = format!("{{\"prompt\":{a},\"chosen\":{b},\"rejected\":{a}}}");
        let _ = read(line.as_bytes(), &ReadOptions::default());
    }
}

/// Bytes as tokens, but "ab" and "b!" are one token each, greedily from the left.
struct Merging;

impl Encoder for Merging {
    fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>, String> {
        // Like a begin token, but only where a test asks for one.
        let begins = add_special && text.starts_with('^');
        let mut ids = if begins { vec![7] } else { Vec::new() };
        let mut rest = text.as_bytes();
        while let Some((&first, tail)) = rest.split_first() {
            let (id, used) = match rest {
                [b'a', b'b', ..] => (300, 2),
                [b'b', b'!', ..] => (301, 2),
                _ => (u32::from(first), 1),
            };
            ids.push(id);
            rest = if used == 2 { &rest[2..] } else { tail };
        }
        if text.contains('?') { Err("no token for `?`".into()) } else { Ok(ids) }
    }

    fn begin_of_sequence(&self) -> Option<u32> {
        Some(7)
    }

    fn end_of_sequence(&self) -> Option<u32> {
        Some(999)
    }
}

fn record(prompt: &str, chosen: &str, rejected: &str) -> TextExample {
    TextExample {
        row: 4,
        line: 5,
        prompt: text(prompt),
        further: vec![],
        responses: vec![text(chosen), text(rejected)],
        good: vec![true, false],
        quality: vec![],
        columns: vec![0.5],
        lists: vec![],
        reference: None,
    }
}

fn encode(
    record: TextExample,
    format: &PromptFormat,
    options: EncodeOptions,
) -> Result<(EncodedExample, EncodeReport), DataError> {
    let (mut pairs, report) =
        encode_examples(&[record], Path::new("d.jsonl"), format, &Merging, options)?;
    Ok((pairs.remove(0), report))
}

fn sequence(ids: &[u32], start: usize) -> Sequence {
    Sequence { ids: ids.to_vec(), start }
}

#[test]
fn a_token_across_the_border_belongs_to_the_response() {
    let (pair, report) =
        encode(record("xa", "b!", "c"), &PromptFormat::plain(), EncodeOptions::new(20))
            .expect("valid");
    let (x, a, c, bang) = (120, 97, 99, 33);
    assert_eq!(pair.responses[0], sequence(&[x, 300, bang, 999], 1));
    assert_eq!(pair.responses[1], sequence(&[x, a, c, 999], 2));
    assert_eq!((pair.row, pair.columns), (4, vec![0.5]));
    assert_eq!(report, EncodeReport { examples: 1, longest: 4, ..EncodeReport::default() });
}

struct Simple;

impl ChatRender for Simple {
    fn render(&self, messages: &[Message], generate: bool) -> Result<String, String> {
        if messages.iter().any(|m| m.content.contains("refuse")) {
            return Err("no such talk".into());
        }
        let turns: String =
            messages.iter().map(|m| format!("{}:{};\n", m.role, m.content)).collect();
        Ok(if generate { turns + "assistant:" } else { turns })
    }
}

#[test]
fn templates() {
    let q = PromptFormat::Plain("Q{prompt}A".into());
    let (pair, _) = encode(record("{x}", "c", "d"), &q, EncodeOptions::new(20)).expect("valid");
    assert_eq!(pair.responses[0], sequence(&[81, 123, 120, 125, 65, 99, 999], 5));

    let (pair, _) = encode(
        record("p", "c", "d"),
        &PromptFormat::Chat(Box::new(Simple)),
        EncodeOptions::new(40),
    )
    .expect("valid");
    // "user:p;\nassistant:" is the prompt, "c;" the response, the template's newline is left out.
    assert_eq!(&pair.responses[0].ids[pair.responses[0].start..], [99, 59, 999]);

    let refused = encode(
        record("p", "refuse", "d"),
        &PromptFormat::Chat(Box::new(Simple)),
        EncodeOptions::new(40),
    );
    assert!(refused.expect_err("refused").to_string().contains("no such talk"));

    let mut turns = record("p", "c", "d");
    turns.prompt = chat(&[("user", "p")]);
    let error = encode(turns, &PromptFormat::plain(), EncodeOptions::new(9)).expect_err("chat");
    assert_eq!(codes(&error), [(Some(5), "E0402")]);
    let none = PromptFormat::Plain("no place".into());
    assert!(encode(record("p", "c", "d"), &none, EncodeOptions::new(9)).is_err());
}

#[test]
fn cutting_takes_the_prompts_beginning_then_the_responses_end() {
    let plain = PromptFormat::plain();
    let r = || record("0123456789", "cdefg", "h");
    let at = |max_length, max_prompt| {
        encode(r(), &plain, EncodeOptions { max_length, max_prompt }).expect("valid")
    };
    let (pair, report) = at(16, 8);
    assert_eq!((pair.responses[0].ids.len(), report.tokens_cut), (16, 0), "just fits");
    let (pair, report) = at(14, 7);
    assert_eq!(
        (pair.responses[0].start, pair.responses[1].start),
        (8, 8),
        "both lose the same tokens"
    );
    assert_eq!(pair.responses[0].ids.last(), Some(&999));
    assert_eq!((report.prompts_cut, report.responses_cut, report.tokens_cut), (1, 0, 2));
    let (pair, report) = at(8, 4);
    assert_eq!((pair.responses[0].start, pair.responses[0].response_len()), (4, 4));
    assert_eq!(pair.responses[0].ids[0], u32::from(b'6'), "the end of the prompt stays");
    assert_ne!(pair.responses[0].ids.last(), Some(&999), "a cut response has no end");
    assert_eq!(pair.responses[1].ids.last(), Some(&999));
    assert_eq!((report.responses_cut, report.tokens_cut), (1, 8));
    let (pair, report) =
        encode(record("0", "cdx", "cdy"), &plain, EncodeOptions { max_length: 3, max_prompt: 1 })
            .expect("valid");
    assert_eq!(
        (pair.responses[0].response_len(), report.identical),
        (2, 1),
        "cut to equality: counted"
    );
    assert!(encode(r(), &plain, EncodeOptions { max_length: 4, max_prompt: 4 }).is_err());

    // A begin token stays where it is; the prompt is cut behind it.
    let (pair, _) = encode(
        record("^123456", "cd", "h"),
        &plain,
        EncodeOptions { max_length: 7, max_prompt: 4 },
    )
    .expect("valid");
    assert_eq!(pair.responses[0], sequence(&[7, 52, 53, 54, 99, 100, 999], 4));
    assert_eq!(pair.responses[1], sequence(&[7, 52, 53, 54, 104, 999], 4));
}

#[test]
fn what_cannot_be_tokenised_is_refused() {
    let plain = PromptFormat::plain();
    let error = encode(record("", "c", "d"), &plain, EncodeOptions::new(9)).expect_err("no prompt");
    assert!(error.to_string().contains("the prompt gives no token"), "{error}");
    let error = encode(record("p", "c?", "d"), &plain, EncodeOptions::new(9)).expect_err("token");
    assert!(error.to_string().contains("d.jsonl:5: error[E0403]: `chosen` cannot be"), "{error}");
}

#[test]
fn order_is_a_permutation_a_pass_and_fixed_by_the_seed() {
    let passes = |seed: u64| -> Vec<Vec<usize>> {
        let mut s = Shuffle::new(seed, 50);
        (0..3).map(|e| (0..50).map(|i| s.at(e * 50 + i).expect("some")).collect()).collect()
    };
    let a = passes(1);
    for pass in &a {
        let mut sorted = pass.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
    }
    assert_ne!(a[0], a[1]);
    assert_eq!(a, passes(1));
    assert_ne!(a, passes(2));
    let mut s = Shuffle::new(1, 50);
    assert_eq!(s.at(120), Some(a[2][20]), "any position can be asked for directly");
    assert_eq!(Shuffle::new(1, 0).at(0), None);
    // The order is part of a run's record: these numbers must never change.
    let mut s = Shuffle::new(8, 6);
    assert_eq!((0..6).map(|i| s.at(i).expect("some")).collect::<Vec<_>>(), [0, 3, 5, 4, 2, 1]);
}

#[test]
fn prompts_are_never_on_both_sides_of_the_split() {
    let records: Vec<TextExample> =
        (0..100).map(|i| record(&format!("p{}", i % 40), "c", "d")).collect();
    let (train, held) = split(records.clone(), 0.2, 3);
    assert_eq!(train.len() + held.len(), 100);
    assert!((20..=23).contains(&held.len()), "{}", held.len());
    for h in &held {
        assert!(train.iter().all(|t| t.prompt != h.prompt));
    }
    assert_eq!(split(records.clone(), 0.2, 3), (train, held.clone()));
    assert_ne!(split(records.clone(), 0.2, 4).1, held);
    assert!(split(records.clone(), 0.0, 3).1.is_empty());
    assert!(!split(records, 1.0, 3).0.is_empty(), "something is left to train on");
    assert_eq!(split(vec![record("p", "c", "d")], 0.5, 1).0.len(), 1);
}

#[test]
fn flipped_labels_are_a_share_and_the_same_for_a_seed() {
    let line =
        |i: usize| format!("{{\"prompt\": \"{i}\", \"chosen\": \"c\", \"rejected\": \"r\"}}\n");
    let data: String = (0..400).map(line).collect();
    let (rows, _) = read(data.as_bytes(), &ReadOptions::default()).expect("valid");
    let flipped = |share: f64, seed: u64| {
        let mut rows = rows.clone();
        let count = flip_labels(&mut rows, share, seed);
        let turned: Vec<bool> = rows.iter().map(|r| r.responses[0] == text("r")).collect();
        assert_eq!(turned.iter().filter(|t| **t).count(), count);
        assert!(rows.iter().all(|r| r.good == [true, false]), "the first is the one preferred");
        turned
    };
    let share = |turned: &[bool]| turned.iter().filter(|t| **t).count();
    assert_eq!((share(&flipped(0.0, 1)), share(&flipped(1.0, 1))), (0, 400));
    // 120 expected; the standard deviation is 9.2.
    assert!((80..160).contains(&share(&flipped(0.3, 1))));
    assert_eq!(flipped(0.3, 1), flipped(0.3, 1));
    assert_ne!(flipped(0.3, 1), flipped(0.3, 2));
    let single = br#"{"prompt": "p", "completion": "c", "label": true}"#;
    let labelled = ReadOptions { shape: Shape::Labelled, ..ReadOptions::default() };
    let (mut one, _) = read(single, &labelled).expect("valid");
    assert_eq!((flip_labels(&mut one, 1.0, 0), &one[0].good[..]), (1, &[false][..]));
}
