//! Intervals, charts, event files, reading back.

use super::*;

#[test]
fn the_bootstrap_covers_and_is_repeatable() {
    assert_eq!(bootstrap_mean(&[]), None);
    assert_eq!(bootstrap_mean(&[1.0, f64::NAN]), None);
    let same = bootstrap_mean(&[0.25; 9]).expect("values");
    assert_eq!((same.mean, same.low, same.high, same.n), (0.25, 0.25, 0.25, 9));
    // Of 0/1 values the standard error is sqrt(p (1 - p) / n); the interval is about 1.96 of them.
    let values: Vec<f64> = (0..400).map(|i| f64::from(u8::from(i % 4 == 0))).collect();
    let i = bootstrap_mean(&values).expect("values");
    assert_eq!(i.mean, 0.25);
    let error = 1.96 * (0.25f64 * 0.75 / 400.0).sqrt();
    assert!(
        (i.low - (0.25 - error)).abs() < 0.005 && (i.high - (0.25 + error)).abs() < 0.005,
        "{i:?}"
    );
    assert_eq!(bootstrap_mean(&values), Some(i));
}

#[test]
fn charts_hold_their_points_and_escape_their_names() {
    let line = Line { name: "a < b".into(), points: vec![(0.0, 1.0), (10.0, 3.0)], marked: true };
    let gap = Line { name: "gap".into(), points: vec![(5.0, f64::NAN)], marked: false };
    let chart = Chart { x: "step".into(), lines: vec![line, gap], level: Some(2.0) };
    let svg = chart.svg("loss & more");
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
    assert!(svg.contains("a &lt; b") && svg.contains("loss &amp; more"));
    assert!(svg.contains("step 10: 3") && !svg.contains("NaN"));
    assert_eq!(svg.matches("<circle").count(), 2, "no mark for a value that is none");
    assert_eq!(svg.matches("stroke-dasharray").count(), 1);
    let empty = Chart { x: "step".into(), ..Chart::default() }.svg("accuracy");
    assert!(empty.contains("no such figure"), "{empty}");
    // One point, and values that are all equal, have a range too.
    let flat = Line { name: "flat".into(), points: vec![(1.0, 5.0)], marked: true };
    let svg = Chart { x: "step".into(), lines: vec![flat], level: None }.svg("flat");
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
}

#[test]
fn a_log_is_read_back_by_figure() {
    let dir = tempfile::tempdir().expect("folder");
    let lines = "{\"type\":\"run\",\"loss\":\"dpo\"}\n\
        {\"type\":\"eval\",\"step\":0,\"loss\":0.7,\"accuracy\":0.5}\n\
        {\"type\":\"step\",\"step\":1,\"loss\":0.6}\n\
        {\"type\":\"saved\",\"step\":1,\"path\":\"x\"}\n\
        {\"type\":\"eval\",\"step\":1,\"loss\":0.5,\"accuracy\":0.75}\n";
    let path = dir.path().join("metrics.jsonl");
    std::fs::write(&path, format!("{lines}{{\"type\":\"st")).expect("writes");
    let log = read_run(dir.path()).expect("a line that is being written is no error");
    assert_eq!(log.run["loss"], "dpo");
    assert_eq!(log.step_series("loss"), [(1.0, 0.6)]);
    assert_eq!(log.ends("accuracy"), Some((0.5, 0.75)));
    assert_eq!((log.last_step, log.ends("margin")), (1, None));
    std::fs::write(&path, format!("{{\n{lines}")).expect("writes");
    let error = read_run(dir.path()).expect_err("broken").to_string();
    assert!(error.contains("line 1 is no record"), "{error}");
    assert!(read_run(&dir.path().join("no")).is_err());
    assert_eq!(read_scores(dir.path(), true).expect("none"), []);
    let scores = "{\"row\":3,\"loss\":1.5,\"correct\":0.5,\"chosen_logp\":-2}\n";
    std::fs::write(dir.path().join("scores-last.jsonl"), scores).expect("writes");
    let scores = read_scores(dir.path(), true).expect("reads");
    assert_eq!(
        (scores[0].row, scores[0].correct, scores[0].chosen_logp),
        (3, Some(0.5), Some(-2.0))
    );
    assert_eq!(scores[0].rejected_logp, None);
}

/// The bytes of one event, by the record format and the protocol buffer's wire format written out.
#[test]
fn event_files_have_the_published_layout() {
    let dir = tempfile::tempdir().expect("folder");
    let mut file = EventFile::create(dir.path()).expect("creates");
    file.scalars(300, &[("loss", 0.5), ("nothing", f64::NAN)]).expect("writes");
    let name = std::fs::read_dir(dir.path()).expect("reads").next().expect("one").expect("entry");
    assert!(name.file_name().to_string_lossy().contains("tfevents"));
    let bytes = std::fs::read(name.path()).expect("reads");
    let mut rest = bytes.as_slice();
    let mut payloads = Vec::new();
    while !rest.is_empty() {
        let (length, tail) = rest.split_at(8);
        let n = u64::from_le_bytes(length.try_into().expect("8")) as usize;
        let checked = u32::from_le_bytes(tail[..4].try_into().expect("4"));
        // The format's own relation between a checksum and its mask, undone.
        let plain = checked.wrapping_sub(0xa282_ead8).rotate_left(15);
        assert_eq!(plain, tensorboard::crc32c(length));
        payloads.push(tail[4..4 + n].to_vec());
        rest = &tail[4 + n + 4..];
    }
    assert_eq!(&payloads[0][9..], b"\x1a\x0dbrain.Event:2");
    // step 300 = ac 02; summary of 13 bytes: one value of 11, tag "loss", 0.5 as f32.
    assert_eq!(&payloads[1][9..], b"\x10\xac\x02\x2a\x0d\x0a\x0b\x0a\x04loss\x15\x00\x00\x00\x3f");
    // The check value of CRC-32C in every table of such codes.
    assert_eq!(tensorboard::crc32c(b"123456789"), 0xe306_9283);
}
