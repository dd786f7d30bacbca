//! The same rows from JSON lines, CSV and Parquet; single responses; implicit prompts; the check.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::*;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/data")).join(name)
}

fn labelled() -> ReadOptions {
    ReadOptions { shape: Shape::Labelled, ..ReadOptions::default() }
}

fn load(name: &str, content: &[u8], options: &ReadOptions) -> Result<Vec<TextExample>, DataError> {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join(name);
    fs::write(&path, content).expect("writes");
    load_examples(&path, options).map(|(rows, _)| rows)
}

type Row = (Turns, Vec<Turns>, Vec<bool>, Vec<f64>);

fn plain(rows: &[TextExample]) -> Vec<Row> {
    let one = |r: &TextExample| {
        (r.prompt.clone(), r.responses.clone(), r.good.clone(), r.columns.clone())
    };
    rows.iter().map(one).collect()
}

#[test]
fn parquet_files_of_other_writers_are_read() {
    let options = columns(&[("margin", Interval::REAL)]);
    let (rows, report) = load_examples(&fixture("conversations.parquet"), &options).expect("reads");
    assert_eq!(report.rows, 3, "both row groups");
    let one = |prompt: &[(&str, &str)], chosen, rejected, margin| -> Row {
        let responses = [chosen, rejected].map(|r| chat(&[("assistant", r)])).to_vec();
        (chat(prompt), responses, vec![true, false], vec![margin])
    };
    let want = [
        one(&[("user", "one")], "good", "bad", 1.0),
        one(&[("user", "two"), ("assistant", "yes"), ("user", "more")], "fine", "no", 2.0),
        one(&[("user", "drei")], "schön", "übel", 3.0),
    ];
    assert_eq!(plain(&rows), want);
    assert_eq!((rows[2].row, rows[2].line), (2, 3));

    let options = ReadOptions { reference: true, ..labelled() };
    let (rows, _) = load_examples(&fixture("singles.parquet"), &options).expect("reads");
    let single = |p, c, good| -> Row { (text(p), vec![text(c)], vec![good], vec![]) };
    assert_eq!(plain(&rows), [single("p", "c", true), single("q", "d", false)]);
    assert_eq!(rows[1].reference, Some(vec![-2.25]));

    let codec = load_examples(&fixture("zstd.parquet"), &labelled()).expect_err("not built in");
    let shown = codec.to_string();
    assert!(shown.contains("E0403") && shown.contains("Snappy"), "{shown}");
    let other = load_examples(&fixture("singles.parquet"), &columns(&[])).expect_err("pairs");
    assert!(other.to_string().contains("for losses such as kto"), "{other}");
}

/// Every cut and a thousand flipped bytes: read or refused, never more.
#[test]
fn damaged_parquet_files_are_refused() {
    let whole = fs::read(fixture("conversations.parquet")).expect("reads");
    let options = columns(&[("margin", Interval::REAL)]);
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    for cut in (0..whole.len()).step_by(97) {
        let refused = load("cut.parquet", &whole[..cut], &options);
        let shown = refused.expect_err("cut").to_string();
        assert!(shown.contains("E0403"), "{cut}: {shown}");
    }
    let mut random = SplitMix(5);
    for _ in 0..300 {
        let mut bytes = whole.clone();
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
        let _ = load("flipped.parquet", &bytes, &options);
    }
    std::panic::set_hook(quiet);
}

#[test]
fn csv_gives_what_json_gives() {
    let csv = "\u{feff}prompt,chosen,rejected,margin,on,note\r\n\
               p,\"c, \"\"d\"\"\ne\",12,-1.5,True,\r\n\
               true,7,x,2,false,hm\r\n";
    let json = "{\"prompt\": \"p\", \"chosen\": \"c, \\\"d\\\"\\ne\", \"rejected\": \"12\", \"margin\": -1.5, \"on\": true}\n\
                {\"prompt\": \"true\", \"chosen\": \"7\", \"rejected\": \"x\", \"margin\": 2, \"on\": false}\n";
    let options = columns(&[("margin", Interval::REAL), ("on", Interval::closed(0.0, 1.0))]);
    let from_csv = load("a.csv", csv.as_bytes(), &options).expect("reads");
    let from_json = load("a.jsonl", json.as_bytes(), &options).expect("reads");
    assert_eq!(plain(&from_csv), plain(&from_json));
    assert_eq!((from_csv[0].line, from_csv[1].line), (2, 4), "a cell may hold a line break");
    let tabs = load("a.tsv", csv.replace(',', "\t").as_bytes(), &options).expect("reads");
    assert_eq!(tabs.len(), 2);
    let messages = "prompt,completion,label\n\
        hi,\"[{\"\"role\"\": \"\"assistant\"\", \"\"content\"\": \"\"yes\"\"}]\",1\n";
    let rows = load("m.csv", messages.as_bytes(), &labelled()).expect("reads");
    assert_eq!(rows[0].responses, [chat(&[("assistant", "yes")])]);
    assert_eq!(rows[0].prompt, chat(&[("user", "hi")]));

    let wrong = "prompt,chosen,rejected\na,b\nc,d,e\nf,\"\",g\n";
    let error = load("w.csv", wrong.as_bytes(), &columns(&[])).expect_err("wrong");
    assert_eq!(codes(&error), [(Some(2), "E0403"), (Some(4), "E0404")]);
    let error = load("u.csv", b"prompt,chosen,rejected\na,\xff,c\n", &columns(&[])).expect_err("u");
    assert_eq!(codes(&error), [(Some(2), "E0002")]);
    let error = load("t.csv", b"a,a\n1,2\n", &columns(&[])).expect_err("twice");
    assert!(error.to_string().contains("names `a` twice"), "{error}");
}

#[test]
fn single_responses_and_their_labels() {
    let row =
        |label: &str| format!("{{\"prompt\": \"p\", \"completion\": \"c\", \"label\": {label}}}\n");
    let good = |label: &str| {
        read(row(label).as_bytes(), &labelled()).map(|(rows, _)| rows[0].good.clone())
    };
    for (label, want) in [("true", true), ("1", true), ("0", false), ("\"False\"", false)] {
        assert_eq!(good(label).expect(label), [want]);
    }
    for (label, code) in [("2", "E0405"), ("\"good\"", "E0402"), ("null", "E0402")] {
        assert_eq!(codes(&good(label).expect_err(label)), [(Some(1), code)], "{label}");
    }
    let u = r#"{"role":"user","content":"hi"}"#;
    let a = r#"{"role":"assistant","content":"yes"}"#;
    for row in [
        format!(r#"{{"prompt":[{u}],"completion":[{a}],"label":true}}"#),
        format!(r#"{{"prompt":[{u}],"completion":[{u},{a}],"label":true}}"#),
        format!(r#"{{"prompt":"hi","completion":[{a}],"label":true}}"#),
        format!(r#"{{"completion":[{u},{a}],"label":true}}"#),
    ] {
        let (rows, _) = read(row.as_bytes(), &labelled()).expect("valid");
        assert_eq!(rows[0].prompt, chat(&[("user", "hi")]), "{row}");
        assert_eq!(rows[0].responses, [chat(&[("assistant", "yes")])], "{row}");
    }
    // A labelled loss takes pairs as well, a pair loss no single responses.
    let pair = b"{\"prompt\": \"p\", \"chosen\": \"c\", \"rejected\": \"r\"}\n";
    let (rows, _) = read(pair, &labelled()).expect("valid");
    assert_eq!(rows[0].good, [true, false]);
    assert_eq!(
        codes(&read(row("true").as_bytes(), &columns(&[])).expect_err("single")),
        [(Some(1), "E0401")]
    );
    let neither = read(b"{\"text\": \"x\"}\n", &labelled()).expect_err("neither").to_string();
    assert!(neither.contains("pairs are taken as well"), "{neither}");
}

/// A string prompt beside conversations: it is dropped only where a user's turn repeats it.
#[test]
fn a_string_prompt_is_never_lost() {
    let turn = |role: &str, content: &str| serde_json::json!({ "role": role, "content": content });
    let (s, q) = (turn("system", "S"), turn("user", "What is X?"));
    let (a, b) = (turn("assistant", "A"), turn("assistant", "B"));
    let pair = |prompt: &str, before: &[&Value]| {
        let side = |last: &Value| before.iter().copied().chain([last]).cloned().collect::<Value>();
        let row = serde_json::json!({ "prompt": prompt, "chosen": side(&a), "rejected": side(&b) });
        read(row.to_string().as_bytes(), &columns(&[])).map(|(rows, _)| rows[0].clone())
    };
    let single = |prompt: &str, turns: &[&Value]| {
        let row = serde_json::json!({ "prompt": prompt, "completion": turns, "label": true });
        read(row.to_string().as_bytes(), &labelled()).map(|(rows, _)| rows[0].clone())
    };
    let whole = chat(&[("system", "S"), ("user", "What is X?")]);
    let only = chat(&[("user", "What is X?")]);
    let cases: [(&[&Value], &Turns); 4] =
        [(&[&s], &whole), (&[&s, &q], &whole), (&[&q], &only), (&[], &only)];
    for (before, want) in cases {
        let found = pair("What is X?", before).expect("valid");
        assert_eq!(&found.prompt, want);
        assert_eq!(found.responses, ["A", "B"].map(|r| chat(&[("assistant", r)])));
        let turns: Vec<&Value> = before.iter().copied().chain([&a]).collect();
        let found = single(" What is X?\n", &turns).expect("valid");
        match before.contains(&&q) {
            true => assert_eq!(&found.prompt, want),
            false => {
                assert!(matches!(&found.prompt, Turns::Chat(m) if m.len() == before.len() + 1))
            }
        }
        assert_eq!(found.responses, [chat(&[("assistant", "A")])]);
    }
    // A longer conversation ends with the response; what stands before is context.
    let more = turn("user", "More?");
    let found = single("What is X?", &[&b, &more, &a]).expect("valid");
    let turns = [("user", "What is X?"), ("assistant", "B"), ("user", "More?")];
    assert_eq!((found.prompt, found.responses), (chat(&turns), vec![chat(&[("assistant", "A")])]));
    // Answers of several turns without the user's stay whole.
    let tool = turn("tool", "42");
    assert_eq!(single("What is X?", &[&b, &tool, &a]).expect("valid").prompt, only);
    // Two questions, neither of which repeats the other: nothing is guessed.
    for refused in [pair("Another?", &[&s, &q]), single("Another?", &[&q, &a])] {
        let error = refused.expect_err("two questions");
        assert_eq!(codes(&error), [(Some(1), "E0402")]);
        assert!(error.to_string().contains("none of the user's turns"), "{error}");
    }
}

#[test]
fn csv_rows_of_both_kinds_are_told_apart() {
    let csv = "prompt,chosen,rejected,completion,label\n\
               p,,,c,true\n\
               q,x,y,,\n\
               r,,,d,0\n";
    let rows = load("mixed.csv", csv.as_bytes(), &labelled()).expect("reads");
    let good: Vec<&[bool]> = rows.iter().map(|r| r.good.as_slice()).collect();
    assert_eq!(good, [&[true][..], &[true, false], &[false]]);
    // What is empty in a row of its own kind is still an empty response.
    for (row, name) in [("p,,y,,", "chosen"), ("p,,,,1", "completion")] {
        let text = format!("prompt,chosen,rejected,completion,label\n{row}\n");
        let error = load("e.csv", text.as_bytes(), &labelled()).expect_err("empty");
        assert_eq!(codes(&error), [(Some(2), "E0404")], "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

/// Rows that are copied keep the text of their cells; what JSON writes alike stays a number.
#[test]
fn copied_csv_cells_keep_their_text() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("s.csv");
    let csv = "prompt,chosen,rejected,id,big,margin,on,none,how\n\
               007,1.0,x,00123,12345678901234567890,1.50,true,,.5\n\
               p,c,r,-0,1e400,-2,True,,01\n";
    fs::write(&path, csv).expect("writes");
    let mut out = Vec::new();
    let kept = [0, 1].into_iter().collect();
    assert_eq!(copy_rows(&path, &kept, &mut out).expect("copies"), 2);
    let text = String::from_utf8(out).expect("UTF-8");
    let lines: Vec<&str> = text.lines().collect();
    for (line, cells) in [
        (0, ["\"prompt\":\"007\"", "\"chosen\":\"1.0\"", "\"id\":\"00123\""]),
        (0, ["\"big\":12345678901234567890", "\"margin\":1.50", "\"how\":\".5\""]),
        (0, ["\"on\":true", "\"none\":null", "\"rejected\":\"x\""]),
        (1, ["\"id\":-0", "\"big\":\"1e400\"", "\"margin\":-2"]),
        (1, ["\"on\":\"True\"", "\"none\":null", "\"how\":\"01\""]),
    ] {
        for cell in cells {
            assert!(lines[line].contains(cell), "{cell} not in {}", lines[line]);
        }
    }
    let options = columns(&[("margin", Interval::REAL)]);
    let (again, _) = load_examples_from(text.as_bytes(), &path, &options).expect("reads");
    assert_eq!((again[0].columns[0], again[1].columns[0]), (1.5, -2.0));
}

#[test]
fn the_prompt_that_two_strings_share() {
    for (chosen, rejected, prompt, rest) in [
        ("The sky is blue", "The sky is black", "The sky is", [" blue", " black"]),
        ("2 + 2 = 4", "2 + 2 = 44", "2 + 2 =", [" 4", " 44"]),
        (
            "\n\nHuman: Hi\n\nAssistant: Hello you",
            "\n\nHuman: Hi\n\nAssistant: Hello there",
            "\n\nHuman: Hi\n\nAssistant:",
            [" Hello you", " Hello there"],
        ),
    ] {
        let row = serde_json::json!({ "chosen": chosen, "rejected": rejected }).to_string();
        let (rows, _) = read(row.as_bytes(), &columns(&[])).expect("valid");
        assert_eq!(rows[0].prompt, text(prompt));
        assert_eq!(rows[0].responses, rest.map(text));
    }
    let none = read(br#"{"chosen": "yes", "rejected": "yet"}"#, &columns(&[])).expect_err("none");
    assert!(none.to_string().contains("so none is implicit"), "{none}");
}

#[test]
fn reference_log_probabilities_are_read_when_asked_for() {
    let row = r#"{"prompt":"p","chosen":"c","rejected":"r","ref_chosen_logps":-3.5,"reference_rejected_logps":-4}"#;
    let options = ReadOptions { reference: true, ..ReadOptions::default() };
    let (rows, _) = read(row.as_bytes(), &options).expect("valid");
    assert_eq!(rows[0].reference, Some(vec![-3.5, -4.0]));
    assert_eq!(read(row.as_bytes(), &columns(&[])).expect("valid").0[0].reference, None);
    let above = row.replace("-3.5", "3.5");
    assert_eq!(
        codes(&read(above.as_bytes(), &options).expect_err("above 0")),
        [(Some(1), "E0405")]
    );
    let absent = row.replace("ref_chosen_logps", "other");
    let error = read(absent.as_bytes(), &options).expect_err("absent").to_string();
    assert!(error.contains("no column `ref_chosen_logps`"), "{error}");
}

fn single(prompt: &[u32], response: &[u32]) -> EncodedExample {
    let ids = [prompt, response].concat();
    EncodedExample::single(0, Sequence { ids, start: prompt.len() }, true, vec![])
}

#[test]
fn mismatched_responses_come_from_another_prompt() {
    let mut examples = vec![
        single(&[1], &[10, 11, 12]),
        single(&[1], &[20]),
        single(&[2, 2], &[30, 31]),
        single(&[1], &[40]),
    ];
    add_mismatched(&mut examples, 4);
    let got: Vec<_> = examples.iter().map(|e| e.mismatched.clone()).collect();
    let want = |ids: &[u32], start| vec![sequence(ids, start)];
    // The next of another prompt, the last going on with the first; 2, 2, 40 and no more than 4 tokens.
    assert_eq!(
        got,
        [want(&[1, 30, 31], 1), want(&[1, 30, 31], 1), want(&[2, 2, 40], 2), want(&[1, 30, 31], 1),]
    );
    let mut equal = vec![single(&[1], &[10, 11, 12, 13]), single(&[1], &[20])];
    add_mismatched(&mut equal, 4);
    assert_eq!(equal[1].mismatched, want(&[1, 10, 11, 12], 1), "of equal prompts the next one");
    assert_eq!(equal[0].sequence_count(), 2);
    let pair = |a: u32| {
        let side = |x: u32| sequence(&[a, x], 1);
        EncodedExample::pair(0, side(10 * a), side(10 * a + 1), vec![])
    };
    let mut pairs = vec![pair(1), pair(2)];
    add_mismatched(&mut pairs, 9);
    assert_eq!(pairs[0].mismatched, [sequence(&[1, 20], 1), sequence(&[1, 21], 1)]);
}

#[test]
fn the_check_counts_what_is_there() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("d.jsonl");
    let pair = |p: &str, c: &str, r: &str| {
        serde_json::json!({ "prompt": p, "chosen": c, "rejected": r, "score": 1 }).to_string()
    };
    let lines = [
        pair("p", "long", "no"),
        pair("p", "long", "no"),
        pair("q", "a", "a"),
        pair("q", "", "b"),
        "{".to_owned(),
        serde_json::json!({ "prompt": "s", "completion": "c", "label": true }).to_string(),
        serde_json::json!({ "prompt": "s", "completion": "c", "label": 7 }).to_string(),
    ];
    fs::write(&path, lines.join("\n")).expect("writes");
    let mut usable = 0;
    let (found, wrong) = check(&path, &labelled(), |_| usable += 1).expect("reads");
    assert_eq!((found.rows, found.usable, found.wrong), (7, 5, 2));
    assert_eq!((found.pairs, found.singles, found.good, found.empty), (4, 1, 1, 1));
    assert_eq!((found.prompts, found.identical, found.repeated), (3, 1, 1));
    assert_eq!(usable, 4, "without the empty one");
    assert_eq!(found.longer_preferred, Some((1.0 + 1.0 + 0.5 + 0.0) / 4.0));
    assert_eq!(found.lengths["chosen"].longest, 4);
    assert_eq!(found.lengths["chosen"].mean, 9.0 / 4.0);
    assert_eq!(found.columns["score"].rows, 4);
    assert_eq!(found.columns["label"].types.len(), 2);
    assert_eq!(codes(&wrong), [(Some(5), "E0403"), (Some(7), "E0405")]);
    let (found, _) =
        check(&fixture("conversations.parquet"), &columns(&[]), |_| {}).expect("reads");
    assert_eq!((found.pairs, found.conversations, found.implicit_prompts), (3, 3, 3));
    assert_eq!(found.columns["score_chosen"].rows, 2, "a value is missing in one row");
}
