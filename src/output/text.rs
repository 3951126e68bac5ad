//! The report as text: one screen that says what holds the program back and what to do.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crossterm::style::Color;

use crate::diagnose::words::{counted, percent, seconds};
use crate::diagnose::{
    Diagnosis, Gain, GilWait, LintVerdict, Recommendation, Share, ThreadTotals, Verdict, Workload,
};
use crate::model::{Cause, Tag, Tid};
use crate::profile::Profile;

use super::bar::bar;
use super::findings::findings;
use super::page::{Look, Page, Piece, TextOptions};
use super::quality::quality_line;
use super::thread_table::threads;

/// How many threads the matrix of the GIL has at each side.
const GIL_THREADS: usize = 5;

/// How many causes are shown.
const CAUSES: usize = 6;

/// Writes the report as text.
///
/// # Errors
/// When writing fails.
pub fn report_text(
    w: &mut dyn Write,
    profile: &Profile,
    diagnosis: &Diagnosis,
    options: &TextOptions,
) -> io::Result<()> {
    let page = &mut Page::new(w, *options);
    target(page, profile)?;
    page.empty()?;
    verdict(page, &diagnosis.verdict)?;
    page.empty()?;
    shares(page, &diagnosis.totals)?;
    page.empty()?;
    threads(page, diagnosis)?;
    tasks(page, diagnosis)?;
    page.empty()?;
    if diagnosis.findings.iter().any(|finding| finding.id == "gil-contention") {
        gil_matrix(page, diagnosis)?;
    }
    findings(page, &diagnosis.findings, profile.quality.elapsed.seconds())?;
    if diagnosis.verdict.workload != Workload::InsufficientData {
        recommendation(page, &diagnosis.recommendation)?;
        page.empty()?;
    }
    if profile.end.is_some() {
        let length = seconds(profile.quality.elapsed.seconds());
        page.line(&[(&format!("the process ended after {length}"), Look::Plain)])?;
    }
    page.paragraph(("quality: ", Look::Faint), &quality_line(profile), Look::Faint)
}

fn target(page: &mut Page, profile: &Profile) -> io::Result<()> {
    let meta = &profile.meta;
    let build = if meta.free_threaded { ", free-threaded" } else { "" };
    let about = format!(
        "  pid {}, Python {}{build}, may use {:.1} CPUs",
        meta.pid, meta.python, meta.usable_cpus
    );
    page.line(&[(&meta.command.join(" "), Look::Strong)])?;
    page.line(&[(&about, Look::Faint)])
}

fn verdict(page: &mut Page, verdict: &Verdict) -> io::Result<()> {
    let workload = verdict.workload;
    let or =
        verdict.runner_up.map_or_else(String::new, |other| format!(", or else {}", other.name()));
    let confidence = if workload == Workload::InsufficientData {
        String::new()
    } else {
        format!("  (confidence {}{or})", percent(verdict.confidence))
    };
    page.line(&[
        ("verdict: ", Look::Plain),
        (workload.name(), Look::Strong),
        (&confidence, Look::Faint),
    ])?;
    page.paragraph(("  ", Look::Plain), workload.meaning(), Look::Plain)?;
    verdict.why.iter().try_for_each(|why| page.paragraph(("  - ", Look::Plain), why, Look::Plain))
}

/// Tags at the left, causes at the right, each with its share of all thread samples.
fn shares(page: &mut Page, totals: &ThreadTotals) -> io::Result<()> {
    let head = format!("what the threads did, of {} thread samples", totals.thread_samples);
    page.line(&[(&head, Look::Strong)])?;
    let share = |share: Option<&Share>| share.map_or(0.0, |share| share.share);
    let tags =
        Tag::ALL.map(|tag| (tag.name(), tag_colour(tag), share(totals.tags.get(tag.name()))));
    let mut causes: Vec<_> = Cause::ALL
        .iter()
        .filter_map(|cause| {
            let name = cause.name();
            Some((name, cause_colour(*cause), totals.causes.get(name)?.share))
        })
        .collect();
    causes.sort_by(|a, b| b.2.total_cmp(&a.2));
    causes.truncate(CAUSES);
    for row in 0..tags.len().max(causes.len()) {
        let mut pieces: Vec<(String, Look)> = Vec::new();
        match tags.get(row) {
            Some(&(name, colour, share)) => {
                bar_cells(page, &mut pieces, (name, 19), (share, 10, colour));
            }
            None => pieces.push((" ".repeat(39), Look::Plain)),
        }
        if let Some(&(name, colour, share)) = causes.get(row) {
            bar_cells(page, &mut pieces, (name, 8), (share, 21, colour));
        }
        let pieces: Vec<Piece> = pieces.iter().map(|(text, look)| (text.as_str(), *look)).collect();
        page.line(&pieces)?;
    }
    Ok(())
}

/// A name, a bar and a percentage, in cells of fixed widths.
fn bar_cells(
    page: &Page,
    pieces: &mut Vec<(String, Look)>,
    name: (&str, usize),
    bar_of: (f64, usize, Color),
) {
    let (share, width, colour) = bar_of;
    let filled = bar(share, width, page.options().unicode);
    pieces.push((format!("  {} ", page.cell(name.0, name.1, false)), Look::Plain));
    pieces.push((page.cell(&filled, width, false), Look::In(colour)));
    pieces.push((format!(" {}", page.cell(&percent(share), 6, true)), Look::Plain));
}

/// How many tasks of asyncio there are, and which lints it is too early for.
fn tasks(page: &mut Page, diagnosis: &Diagnosis) -> io::Result<()> {
    let tasks = &diagnosis.tasks;
    if tasks.most == 0 {
        return Ok(());
    }
    let looks = counted(tasks.looks, "look");
    let line = format!("  tasks of asyncio: {} at last, {} at first", tasks.last, tasks.first);
    page.line(&[(&format!("{line}; {looks}"), Look::Plain)])?;
    let early = tasks.lints.iter().filter(|lint| lint.verdict == LintVerdict::TooEarly);
    let early: Vec<_> = early.map(|lint| lint.id).collect();
    if early.is_empty() {
        return Ok(());
    }
    let text = format!("{}; record for longer", early.join(", "));
    page.paragraph(("  too early to judge: ", Look::Faint), &text, Look::Faint)
}

/// Who keeps whom from the GIL: a row for each of those that waited most, a column for each of
/// those that had it most meanwhile.
fn gil_matrix(page: &mut Page, diagnosis: &Diagnosis) -> io::Result<()> {
    let waits = diagnosis.gil.as_ref().map_or(&[][..], |gil| &gil.waits);
    let most = |key: fn(&GilWait) -> (Tid, &str)| {
        let mut sums: BTreeMap<(Tid, &str), u64> = BTreeMap::new();
        waits.iter().for_each(|wait| *sums.entry(key(wait)).or_default() += wait.samples);
        let mut sums: Vec<_> = sums.into_iter().collect();
        sums.sort_by_key(|&(thread, samples)| (std::cmp::Reverse(samples), thread));
        sums.truncate(GIL_THREADS);
        sums.into_iter().map(|(thread, _)| thread).collect::<Vec<_>>()
    };
    let waiters = most(|wait| (wait.waiter_tid, &wait.waiter));
    let holders = most(|wait| (wait.holder_tid, &wait.holder));
    if waiters.is_empty() {
        return Ok(());
    }
    let head: String =
        holders.iter().map(|(_, name)| format!(" {}", page.cell(name, 9, true))).collect();
    let head = format!("{}{head}", page.cell("GIL: who waits, for whom", 26, false));
    page.line(&[(&head, Look::Strong)])?;
    for (waiter, name) in waiters {
        let share = |&(holder, _): &(Tid, &str)| {
            let is_this = |wait: &&GilWait| (wait.waiter_tid, wait.holder_tid) == (waiter, holder);
            let wait = waits.iter().find(is_this);
            let share = wait.map_or_else(|| "-".into(), |wait| percent(wait.share_of_waiter));
            page.cell(&share, 10, true)
        };
        let cells: String = holders.iter().map(share).collect();
        page.line(&[(&format!("  {}{cells}", page.cell(name, 24, false)), Look::Plain)])?;
    }
    page.empty()
}

fn recommendation(page: &mut Page, recommendation: &Recommendation) -> io::Result<()> {
    let model = recommendation.model;
    let meaning = format!(": {}", model.meaning());
    page.line(&[
        ("recommendation: ", Look::Plain),
        (model.name(), Look::Strong),
        (&meaning, Look::Plain),
    ])?;
    for why in &recommendation.why {
        page.paragraph(("  - ", Look::Plain), why, Look::Plain)?;
    }
    if let Some(Gain { low, high, unit, assumes, .. }) = &recommendation.gain {
        let precision = if *high < 1.0 { 3 } else { 2 };
        page.paragraph(
            ("  gain: ", Look::Plain),
            &format!("{low:.precision$} to {high:.precision$} {unit}"),
            Look::Strong,
        )?;
        if let Some(assumes) = assumes {
            page.paragraph(("        if ", Look::Plain), assumes, Look::Plain)?;
        }
    }
    let started = recommendation.steps.iter().find(|step| step.site.is_none());
    if let Some(command) = started.and_then(|step| step.after.as_deref()) {
        page.command("  start it as ", command)?;
    }
    let rewritten = recommendation
        .steps
        .iter()
        .find_map(|step| Some((step.before.as_ref()?, step.after.as_ref()?, step.site.as_ref())));
    if let Some((before, after, site)) = rewritten.filter(|(_, after, _)| !after.contains('\n')) {
        if let Some(site) = site {
            let place = format!("{}:{}", page.tail(&site.file, 48), site.line);
            page.paragraph(("  at          ", Look::Plain), &place, Look::In(Color::Cyan))?;
        }
        page.paragraph(("  instead of  ", Look::Plain), before, Look::Faint)?;
        page.paragraph(("  write       ", Look::Plain), after, Look::Strong)?;
    }
    for rejected in &recommendation.rejected {
        page.paragraph(
            ("  not ", Look::Faint),
            &format!("{}: {}", rejected.model.name(), rejected.why),
            Look::Faint,
        )?;
    }
    if let Some(verify) = &recommendation.verify {
        page.paragraph(
            ("  ", Look::Plain),
            "all steps with code: the same report with -f markdown",
            Look::Faint,
        )?;
        page.command("  after the change, under the same load: ", verify)?;
    }
    Ok(())
}

const fn tag_colour(tag: Tag) -> Color {
    match tag {
        Tag::EventLoopBlocking => Color::Red,
        Tag::GilContended => Color::Magenta,
        Tag::IdleWaiting => Color::Blue,
        Tag::Running => Color::Green,
    }
}

fn cause_colour(cause: Cause) -> Color {
    cause.tag().map_or(Color::DarkGrey, tag_colour)
}

#[cfg(test)]
mod tests {
    use super::{TextOptions, report_text};
    use crate::catalog::Catalog;
    use crate::diagnose::diagnose;
    use crate::diagnose::fixture::{Doing, Fixture};
    use crate::model::Cause;
    use crate::output::escape::{columns, is_unsafe};

    fn written(fixture: &Fixture, options: TextOptions) -> String {
        let diagnosis = diagnose(&fixture.profile, &Catalog::default());
        let mut bytes = Vec::new();
        report_text(&mut bytes, &fixture.profile, &diagnosis, &options).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// Everything at once, with names that are long, wide and hostile.
    fn crowded() -> Fixture {
        let mut fixture = Fixture::new(5);
        fixture.profile.meta.command = vec!["python3".into(), "x\u{1b}]0;owned\u{7}".repeat(30)];
        let long = format!("/srv/{}/app.py:{}\u{202e}:12", "deep/".repeat(30), "名前".repeat(40));
        for index in 0..12 {
            let thread = fixture.thread(&format!("スレッド\u{1b}[31m-{}-{index}", "x".repeat(60)));
            fixture.spend(thread, 30, &Doing::new(Cause::Python, &[&long]));
            fixture.spend(thread, 30, &Doing::new(Cause::Gil, &[&long]));
            fixture.spend(thread, 20, &Doing::new(Cause::Lock, &[&long]));
            fixture.spend(thread, 10, &Doing::new(Cause::Unknown, &[&long]).note("\u{9b}2J"));
            fixture.block(thread, 10, &Doing::new(Cause::Sleep, &["a.py:f:1", &long]));
        }
        fixture.cpus(1.0, 2.0);
        fixture
    }

    #[test]
    fn no_line_is_wider_than_the_page_and_nothing_harmful_gets_out() {
        let crowded = crowded();
        for width in [0, 1, 20, 40, 80, 120] {
            for unicode in [false, true] {
                let text =
                    written(&crowded, TextOptions { width, colour: false, unicode, findings: 3 });
                for line in text.lines() {
                    // A command is to be copied, so it is never broken.
                    let command = line.starts_with("    pyconc ");
                    assert!(command || columns(line) <= width, "{width}: {line}");
                    assert!(!line.chars().any(is_unsafe), "{line}");
                    assert!(unicode || line.is_ascii(), "{line}");
                    assert!(!line.ends_with(' '), "{line:?}");
                }
            }
        }
    }

    #[test]
    fn a_report_is_one_screen_with_verdict_findings_and_advice() {
        let fixture = Fixture::blocked_by_sleep();
        let text = written(&fixture, TextOptions::default());
        for part in [
            "verdict: event-loop-blocked  (confidence 98 %)",
            "error",
            "app.py:12 in charge, thread MainThread",
            "asyncio.sleep",
            "30 % of the recording's time",
            "recommendation: asyncio",
            "pyconc report -d 30 -- python3 app.py",
            "quality: 500 samples in 5.0 s (100/s)",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        println!("{text}");
        println!("{}", written(&crowded(), TextOptions::default()));
        assert!(text.lines().count() <= 48, "{text}");
    }

    #[test]
    fn an_empty_recording_has_a_report() {
        let text = written(&Fixture::new(0), TextOptions::default());
        assert!(text.contains("insufficient-data"), "{text}");
    }
}
