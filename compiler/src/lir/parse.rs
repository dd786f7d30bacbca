//! Reads the text form of a plan back.
//!
//! In: text as [`super::text`] prints it. Out: the plan, not verified, or the first error with its place.

use super::{Let, Part, Partial, Phase, Plan, SequenceSum, Source, Statistic, Stream};
use crate::mir::parse::{ParseError, Parsed, Parser};
use crate::mir::text::REDUCE;
use crate::mir::{Graph, Stage};

/// Reads one plan. Law: `parse(&plan.to_string()) == Ok(plan)` for every plan of stage `total`.
///
/// # Errors
/// The first place where the text departs from the printed form.
pub fn parse(text: &str) -> Result<Plan, ParseError> {
    let mut parser = Parser::new(text);
    let plan = plan(&mut parser)?;
    parser.end()?;
    Ok(plan)
}

fn plan(p: &mut Parser<'_>) -> Parsed<Plan> {
    p.keyword("lir")?;
    let mut header = Graph::new(p.name()?);
    header.stage = Stage::Total;
    p.symbol("{")?;
    while p.keyword_is("param") {
        let param = p.param()?;
        header.params.push(param);
    }
    let (mut sources, mut streams) = (Vec::new(), Vec::new());
    while p.keyword_is("column") {
        let input = p.input()?;
        header.inputs.push(input);
        p.symbol("=")?;
        sources.push(source(p)?);
    }
    while p.keyword_is("stream") {
        let model = p.name()?;
        let statistics = if p.symbol_is(":") { list(p)? } else { Vec::new() };
        let gradients = if p.keyword_is("grad") { list(p)? } else { Vec::new() };
        streams.push(Stream { model, statistics, gradients });
    }
    let uniform = block(p, &header, "uniform")?;
    let mut phases = Vec::new();
    while p.keyword_is("phase") {
        phases.push(phase(p, &header)?);
    }
    p.symbol("}")?;
    Ok(Plan { header, sources, streams, uniform, phases })
}

fn source(p: &mut Parser<'_>) -> Parsed<Source> {
    let kinds = [(None, "data"), (Some(false), "sum"), (Some(true), "mean")];
    let Some(mean) = p.word(&kinds, "`data`, `sum` or `mean`")? else { return Ok(Source::Data) };
    let statistic = statistic(p)?;
    p.keyword("of")?;
    let model = p.name()?;
    p.keyword("over")?;
    let parts = [
        (Part::All, "all"),
        (Part::Shared, "shared"),
        (Part::Tail, "tail"),
        (Part::Mismatched, "mismatched"),
    ];
    let part = p.word(&parts, "`all`, `shared`, `tail` or `mismatched`")?;
    let response = if part == Part::Mismatched { String::new() } else { p.name()? };
    Ok(Source::Tokens(SequenceSum { model, response, statistic, part, mean }))
}

fn statistic(p: &mut Parser<'_>) -> Parsed<Statistic> {
    type Make = fn(&mut Parser<'_>) -> Parsed<Statistic>;
    let kinds: [(Make, &str); 5] = [
        (|_| Ok(Statistic::TargetLogp), "target_logp"),
        (|_| Ok(Statistic::LogSumP2), "log_sum_p2"),
        (|_| Ok(Statistic::Entropy), "entropy"),
        (|p| Ok(Statistic::KlTo(p.name()?)), "kl_to"),
        (|p| Ok(Statistic::KlFrom(p.name()?)), "kl_from"),
    ];
    p.word(&kinds, "a statistic of a token")?(p)
}

fn list(p: &mut Parser<'_>) -> Parsed<Vec<Statistic>> {
    let mut all = vec![statistic(p)?];
    while p.symbol_is("+") {
        all.push(statistic(p)?);
    }
    Ok(all)
}

fn block(p: &mut Parser<'_>, header: &Graph, name: &str) -> Parsed<Vec<Let>> {
    let mut lets = Vec::new();
    if p.keyword_is(name) {
        p.symbol("{")?;
        while !p.symbol_is("}") {
            let id = p.node()?;
            p.symbol("=")?;
            lets.push(Let { id, op: p.operation(header)? });
        }
    }
    Ok(lets)
}

fn phase(p: &mut Parser<'_>, header: &Graph) -> Parsed<Phase> {
    let mut phase = Phase::default();
    p.symbol("{")?;
    while p.keyword_is("rank") {
        phase.ranks.push(p.node()?);
    }
    phase.batch = block(p, header, "batch")?;
    phase.example = block(p, header, "example")?;
    while p.keyword_is("partial") {
        let id = p.node()?;
        p.symbol("=")?;
        let reduce = p.word(&REDUCE, "`sum`, `mean`, `max` or `logsumexp`")?;
        phase.partials.push(Partial { id, reduce, value: p.node()? });
    }
    while p.keyword_is("save") {
        phase.saves.push(p.node()?);
    }
    while p.keyword_is("output") {
        let name = p.name()?;
        p.symbol("=")?;
        phase.outputs.push((name, p.node()?));
    }
    p.symbol("}")?;
    Ok(phase)
}
