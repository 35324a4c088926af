//! Both sides at once: asks the reference and both of the engine's ways in, and holds them equal.

use tempfile::TempDir;

use crate::case::Case;
use crate::engine::{self, Way};
use crate::reference::{Driver, comparable, has_no_say};

/// What one side said, line by line. Paths of the case's own files begin with `DIR`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    lines: Vec<String>,
}

impl Answer {
    fn new(lines: &[String], directory: &str) -> Self {
        let lines = lines.iter().map(|line| line.replace(directory, "DIR")).collect();
        Answer { lines }
    }

    /// The lines that begin with this word and a space, without them.
    pub fn all(&self, word: &str) -> Vec<&str> {
        let rest = |line: &'_ String| -> Option<usize> {
            let rest = line.strip_prefix(word)?;
            rest.starts_with(' ').then(|| line.len() - rest.len() + 1)
        };
        let lines = self.lines.iter();
        lines.filter_map(|line| Some(&line[rest(line)?..])).collect()
    }

    /// Was access granted? Nothing where the process ended before it was decided.
    pub fn granted(&self) -> Option<bool> {
        self.all("verdict").first().map(|verdict| *verdict == "1")
    }

    /// What was logged as a warning or an error.
    pub fn problems(&self) -> Vec<&str> {
        self.all("log 3")
    }

    /// What was looked up, in order.
    pub fn lookups(&self) -> Vec<&str> {
        self.all("lookup")
    }

    /// What the case's text expands to after the decision.
    pub fn expanded(&self) -> &str {
        self.all("expanded").first().copied().unwrap_or_default()
    }

    /// Did the process end by itself, as it should?
    pub fn ended_well(&self) -> bool {
        self.all("end") == ["0"]
    }

    /// All lines.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

/// What the reference and the engine said, where they may differ.
#[derive(Debug)]
pub struct Apart {
    /// The reference.
    pub reference: Answer,
    /// The engine.
    pub engine: Answer,
}

/// Asks both about each case. The engine's two ways in must agree in any case.
///
/// # Panics
/// Where they do not.
pub fn apart(cases: &[Case]) -> Vec<Apart> {
    let directory = TempDir::new().expect("a temporary directory");
    let path = directory.path().to_string_lossy().into_owned();
    let reference = Driver::new(directory.path()).ask(cases);
    let both = cases.iter().zip(&reference).map(|(case, reference)| {
        let [scan, policy] = [Way::Scan, Way::Policy].map(|way| engine::ask(case, directory.path(), way));
        assert_eq!(scan, policy, "the engine's two ways in differ: {case:#?}");
        Apart {
            reference: Answer::new(&comparable(reference), &path),
            engine: Answer::new(&comparable(&scan), &path),
        }
    });
    both.collect()
}

/// Asks both about each case, and returns what both said.
///
/// # Panics
/// Where they do not say the same.
#[track_caller]
pub fn alike(cases: &[Case]) -> Vec<Answer> {
    let both = apart(cases).into_iter().zip(cases).map(|(both, case)| {
        assert!(
            both.engine == both.reference || has_no_say(both.reference.lines()),
            "the engine: {:#?}\nthe reference: {:#?}\n{case:#?}",
            both.engine,
            both.reference
        );
        both.engine
    });
    both.collect()
}

/// Asks both about one case.
#[track_caller]
pub fn one(case: Case) -> Answer {
    alike(&[case]).remove(0)
}
