//! The results of policy tests: for a person, as JSON, and as JUnit XML.

use std::fmt::Write;
use std::path::PathBuf;

use hosts_access::TableKind;
use serde_json::{Value, json};

use super::coverage::Coverage;
use super::file::Place;
use crate::output::{BAD, GOOD, NOTE, escape, utf8};

/// What became of one request of a test.
#[derive(Debug)]
pub struct Outcome {
    /// The test file.
    pub file: PathBuf,
    /// The line the test begins in.
    pub line: usize,
    /// What it shows, in words.
    pub about: Option<String>,
    /// The request, in words.
    pub request: String,
    /// In what it was not as expected; nothing where it passed.
    pub failures: Vec<String>,
    /// The table and last line of the rule that decided.
    pub rule: Option<(TableKind, u32)>,
}

impl Outcome {
    fn title(&self) -> String {
        match &self.about {
            Some(about) => format!("{about} ({})", self.request),
            None => self.request.clone(),
        }
    }
}

/// A rule's place as the test file writes it.
pub fn place(place: Place) -> String {
    match place.0 {
        None => "no rule".to_owned(),
        Some((TableKind::Allow, line)) => format!("allow:{line}"),
        Some((TableKind::Deny, line)) => format!("deny:{line}"),
    }
}

fn failed(outcomes: &[Outcome]) -> usize {
    outcomes
        .iter()
        .filter(|outcome| !outcome.failures.is_empty())
        .count()
}

/// For the terminal; `lists_missed` names the rules that decided nothing.
pub fn text(outcomes: &[Outcome], coverage: &Coverage, lists_missed: bool) -> String {
    let mut out = String::new();
    for outcome in outcomes {
        let (style, mark) = if outcome.failures.is_empty() {
            (GOOD, "ok  ")
        } else {
            (BAD, "FAIL")
        };
        let title = escape(outcome.title().as_bytes());
        let _ = writeln!(out, "{style}{mark}{style:#} {title}");
        for failure in &outcome.failures {
            let text = format!("{}, line {}: {failure}", outcome.file.display(), outcome.line);
            let _ = writeln!(out, "     {}", escape(text.as_bytes()));
        }
    }
    let failed = failed(outcomes);
    let missed = coverage.missed();
    let _ = writeln!(
        out,
        "\n{} passed, {failed} failed; {} of {} rules decided one of them",
        outcomes.len() - failed,
        coverage.count() - missed.len(),
        coverage.count()
    );
    for (path, line, text) in missed.iter().filter(|_| lists_missed) {
        let text = format!("{}, line {line}: {}", path.display(), utf8(text));
        let _ = writeln!(out, "{NOTE}not reached:{NOTE:#} {}", escape(text.as_bytes()));
    }
    out
}

/// For a program.
pub fn json(outcomes: &[Outcome], coverage: &Coverage) -> Value {
    let one = |outcome: &Outcome| {
        json!({
            "file": outcome.file.display().to_string(),
            "line": outcome.line,
            "about": outcome.about,
            "request": outcome.request,
            "passed": outcome.failures.is_empty(),
            "failures": outcome.failures,
        })
    };
    let failed = failed(outcomes);
    let missed = coverage.missed();
    let missed = missed.iter().map(
        |(path, line, text)| json!({ "file": path.display().to_string(), "line": line, "text": utf8(text) }),
    );
    json!({
        "passed": outcomes.len() - failed,
        "failed": failed,
        "rules": { "count": coverage.count(), "missed": missed.collect::<Vec<_>>() },
        "tests": outcomes.iter().map(one).collect::<Vec<_>>(),
    })
}

/// As JUnit XML, a test suite.
pub fn junit(outcomes: &[Outcome]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let (count, failed) = (outcomes.len(), failed(outcomes));
    let _ = writeln!(
        out,
        "<testsuite name=\"tcpwrap\" tests=\"{count}\" failures=\"{failed}\">"
    );
    for outcome in outcomes {
        let file = xml(&outcome.file.display().to_string());
        let title = xml(&outcome.title());
        let _ = write!(
            out,
            "  <testcase classname=\"{file}\" name=\"{title}\" file=\"{file}\" line=\"{}\"",
            outcome.line
        );
        if outcome.failures.is_empty() {
            out.push_str("/>\n");
        } else {
            let failures = xml(&outcome.failures.join("; "));
            let _ = writeln!(out, ">\n    <failure message=\"{failures}\"/>\n  </testcase>");
        }
    }
    out.push_str("</testsuite>\n");
    out
}

/// Text for an attribute. Characters that XML cannot hold are left out by [`escape`].
fn xml(text: &str) -> String {
    let text = escape(text.as_bytes());
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    text.replace('"', "&quot;")
        .replace('\n', "&#10;")
        .replace('\t', "&#9;")
}
