//! Putting both tables in place, which is two renames: never, between them, is somebody let in whom neither the
//! old nor the new tables let in. A daemon that has read the allow table before and reads the deny table after both
//! is beyond what can be done here; that takes it microseconds, as a rule.
//!
//! The new texts are written beside the tables first. What is left of them tells the next `tcpwrap edit` that this
//! one was cut short, and what it had still to do.

use std::path::PathBuf;

use analysis::compare::{Difference, compare};
use analysis::document::{Document, Documents};
use hosts_access::Verdict;

use crate::install::Original;
use crate::output;

/// What the text that is put in place first is called until then, behind the table's name.
const FIRST: &str = ".tcpwrap-first";
/// And the second, which is written last: where there is none, nothing has been put in place.
const SECOND: &str = ".tcpwrap-second";
/// And the table that lets nobody in.
const CLOSED: &str = ".tcpwrap-closed";
const CLOSED_TEXT: &[u8] = b"# tcpwrap edit is putting new tables in place.\nALL: ALL\n";

/// How to get from two tables to two others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// First the allow table.
    AllowFirst,
    /// First the deny table.
    DenyFirst,
    /// With a deny table in between that refuses everybody, so that only those get in whom the old or the new
    /// allow table grants access.
    Closed,
}

/// One table on its way.
#[derive(Debug)]
pub struct Change<'c> {
    /// The table as it is.
    pub original: &'c Original,
    /// What it will be.
    pub text: &'c [u8],
}

/// What is left over of an edit that was cut short: the text that was still to be put in place, for each table.
pub fn left_over(tables: [&Original; 2]) -> [Option<PathBuf>; 2] {
    let there = |table: &Original, extension| Some(table.beside(extension)).filter(|path| path.exists());
    let is_begun = tables.iter().any(|table| there(table, SECOND).is_some());
    tables.map(|table| {
        let staged = there(table, SECOND).or_else(|| there(table, FIRST));
        staged.filter(|_| is_begun)
    })
}

/// Takes away what is left over.
pub fn forget(tables: [&Original; 2]) {
    for table in tables {
        for extension in [SECOND, FIRST, CLOSED] {
            let _ = std::fs::remove_file(table.beside(extension));
        }
    }
}

/// The best way: one that lets in nobody whom neither the old nor the new tables do, and if possible one that
/// refuses nobody whom both let in.
fn way(allow: &Change<'_>, deny: &Change<'_>) -> Way {
    let document = |text: &[u8]| Document::new("hosts", text);
    let [old_allow, old_deny] = [allow, deny].map(|change| document(&change.original.text));
    let [new_allow, new_deny] = [allow, deny].map(|change| document(change.text));
    let pair = |allow, deny| Documents {
        allow: Some(allow),
        deny: Some(deny),
    };
    let ends = [pair(&old_allow, &old_deny), pair(&new_allow, &new_deny)];
    let ways = [
        (Way::AllowFirst, pair(&new_allow, &old_deny)),
        (Way::DenyFirst, pair(&old_allow, &new_deny)),
    ];
    let mut sound = Vec::new();
    for (way, between) in ways {
        let found = ends.map(|end| compare(end, between));
        // What cannot be compared may be anything.
        let may = |what: fn(&Difference) -> bool| {
            found.iter().all(|found| match found {
                Ok(found) => !found.left_out.is_empty() || found.differences.iter().any(what),
                Err(_) => true,
            })
        };
        if !may(opens) {
            sound.push((may(closes), way));
        }
    }
    let best = sound.iter().min_by_key(|(closes, _)| *closes);
    best.map_or(Way::Closed, |(_, way)| *way)
}

fn opens(difference: &Difference) -> bool {
    difference.old.may_end(|verdict| verdict != Verdict::Granted)
        && difference.new.may_end(|verdict| verdict != Verdict::Denied)
}

fn closes(difference: &Difference) -> bool {
    difference.old.may_end(|verdict| verdict != Verdict::Denied)
        && difference.new.may_end(|verdict| verdict != Verdict::Granted)
}

/// Replaces both tables, on the best [`way`], which it gives.
///
/// # Errors
/// A message, where that fails: the tables are then as they were, unless it says otherwise.
pub fn replace(allow: &Change<'_>, deny: &Change<'_>) -> Result<Way, String> {
    let way = way(allow, deny);
    let mut steps = prepare(allow, deny, way)?;
    for change in [allow, deny] {
        change.original.unchanged().map_err(|error| {
            forget([allow.original, deny.original]);
            output::at(change.original.path(), &error)
        })?;
    }
    let mut is_first = true;
    loop {
        match steps.step() {
            Ok(true) => is_first = false,
            Ok(false) => return Ok(way),
            Err(error) if is_first => {
                forget([allow.original, deny.original]);
                return Err(error);
            }
            Err(error) => {
                return Err(format!(
                    "{error}; the other table is in place: tcpwrap edit goes on"
                ));
            }
        }
    }
}

/// The renames that lead from one pair to the other, with both new texts safely written.
#[derive(Debug)]
struct Steps<'c> {
    renames: Vec<(PathBuf, &'c Original)>,
    next: usize,
}

/// Writes the new texts beside the tables.
///
/// # Errors
/// Where that fails; nothing is left behind then.
fn prepare<'c>(allow: &Change<'c>, deny: &Change<'c>, way: Way) -> Result<Steps<'c>, String> {
    let order = match way {
        Way::DenyFirst => [(deny, FIRST), (allow, SECOND)],
        Way::AllowFirst | Way::Closed => [(allow, FIRST), (deny, SECOND)],
    };
    let closed = Change {
        original: deny.original,
        text: CLOSED_TEXT,
    };
    let closed = (way == Way::Closed).then_some((&closed, CLOSED));
    let mut renames = Vec::new();
    for (change, extension) in closed.into_iter().chain(order) {
        let staged = change.original.stage(change.text, extension).map_err(|error| {
            forget([allow.original, deny.original]);
            output::at(change.original.path(), &error)
        })?;
        renames.push((staged, change.original));
    }
    Ok(Steps { renames, next: 0 })
}

impl Steps<'_> {
    /// Makes the next rename; false where there is none left.
    ///
    /// # Errors
    /// Where it fails: what is left over serves to go on.
    fn step(&mut self) -> Result<bool, String> {
        let Some((staged, original)) = self.renames.get(self.next) else {
            return Ok(false);
        };
        let put = original.put(staged);
        put.map_err(|error| output::at(original.path(), &error))?;
        self.next += 1;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    struct Scene {
        directory: tempfile::TempDir,
        texts: [&'static str; 4],
    }

    impl Scene {
        /// Old allow and deny, new allow and deny.
        fn new(texts: [&'static str; 4]) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let scene = Scene { directory, texts };
            for (name, text) in ["allow", "deny"].iter().zip(texts) {
                std::fs::write(scene.path(name), text).unwrap();
            }
            scene
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        fn original(&self, name: &str) -> Original {
            Original::read(&self.path(name)).unwrap()
        }

        fn way(&self) -> Way {
            let [allow, deny] = ["allow", "deny"].map(|name| self.original(name));
            let [new_allow, new_deny] = [self.texts[2], self.texts[3]].map(str::as_bytes);
            way(
                &Change {
                    original: &allow,
                    text: new_allow,
                },
                &Change {
                    original: &deny,
                    text: new_deny,
                },
            )
        }

        fn now(&self) -> [String; 2] {
            ["allow", "deny"].map(|name| std::fs::read_to_string(self.path(name)).unwrap())
        }

        /// Makes so many steps and is gone, as a process that is killed.
        fn killed_after(&self, steps: usize, way: Way) {
            let [allow, deny] = ["allow", "deny"].map(|name| self.original(name));
            let [new_allow, new_deny] = [self.texts[2], self.texts[3]].map(str::as_bytes);
            let allow = Change {
                original: &allow,
                text: new_allow,
            };
            let deny = Change {
                original: &deny,
                text: new_deny,
            };
            let mut renames = prepare(&allow, &deny, way).unwrap();
            for _ in 0..steps {
                assert!(renames.step().unwrap());
            }
        }

        /// What is left to be put in place: with what is there already, the new tables.
        fn still_to_do(&self) -> [String; 2] {
            let [allow, deny] = ["allow", "deny"].map(|name| self.original(name));
            let left = left_over([&allow, &deny]);
            let now = self.now();
            let text = |path: &Path| std::fs::read_to_string(path).unwrap();
            [0, 1].map(|at: usize| left[at].as_deref().map_or_else(|| now[at].clone(), text))
        }
    }

    #[test]
    fn the_order_lets_in_nobody_else_and_if_possible_refuses_nobody_else() {
        // Closing: with the deny table first, nobody would get in for a moment.
        let closing = ["", "", "sshd: 10.\n", "ALL: ALL\n"];
        assert_eq!(Scene::new(closing).way(), Way::AllowFirst);
        // Opening, the same way round.
        let opening = ["sshd: 10.\n", "ALL: ALL\n", "", ""];
        assert_eq!(Scene::new(opening).way(), Way::DenyFirst);
        // With the new deny table first, whom only a rule of the new allow table refuses would get in.
        let moved = ["", "sshd: 10.\n", "sshd: 10.: deny\n", ""];
        assert_eq!(Scene::new(moved).way(), Way::AllowFirst);
        let back = ["sshd: 10.: deny\n", "", "", "sshd: 10.\n"];
        assert_eq!(Scene::new(back).way(), Way::DenyFirst);
        // Both at once: neither order will do.
        let both = [
            "sshd: 10.: deny\n",
            "sshd: 11.\n",
            "sshd: 11.: deny\n",
            "sshd: 10.\n",
        ];
        assert_eq!(Scene::new(both).way(), Way::Closed);
    }

    #[test]
    fn who_is_killed_leaves_what_is_needed_to_go_on() {
        let texts = [
            "sshd: 10.\n",
            "ALL: ALL\n",
            "sshd: 11.\n",
            "ALL EXCEPT ftpd: ALL\n",
        ];
        for (way, renames) in [(Way::AllowFirst, 2), (Way::DenyFirst, 2), (Way::Closed, 3)] {
            for steps in 0..=renames {
                let scene = Scene::new(texts);
                scene.killed_after(steps, way);
                assert_eq!(scene.still_to_do(), [texts[2], texts[3]], "{way:?} {steps}");
                let [allow, deny] = scene.now();
                match (way, steps) {
                    (_, 0) => assert_eq!([allow, deny], texts[..2]),
                    (Way::AllowFirst, 1) => assert_eq!([&*allow, &*deny], [texts[2], texts[1]]),
                    (Way::DenyFirst, 1) => assert_eq!([&*allow, &*deny], [texts[0], texts[3]]),
                    (Way::Closed, 1) => assert_eq!(
                        [allow.as_bytes(), deny.as_bytes()],
                        [texts[0].as_bytes(), CLOSED_TEXT]
                    ),
                    (Way::Closed, 2) => assert_eq!(
                        [allow.as_bytes(), deny.as_bytes()],
                        [texts[2].as_bytes(), CLOSED_TEXT]
                    ),
                    _ => assert_eq!([allow, deny], texts[2..]),
                }
                forget([&scene.original("allow"), &scene.original("deny")]);
                let left = std::fs::read_dir(scene.directory.path()).unwrap().count();
                assert_eq!(left, 2, "{way:?} {steps}");
            }
        }
    }

    #[test]
    fn links_and_modes_are_kept() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let scene = Scene::new(["sshd: 10.\n", "", "sshd: 11.\n", "ALL: ALL\n"]);
        std::fs::create_dir(scene.path("elsewhere")).unwrap();
        std::fs::rename(scene.path("allow"), scene.path("elsewhere/allow")).unwrap();
        symlink("elsewhere/allow", scene.path("allow")).unwrap();
        let mode = std::fs::Permissions::from_mode(0o640);
        std::fs::set_permissions(scene.path("allow"), mode.clone()).unwrap();
        scene.killed_after(2, Way::DenyFirst);
        assert_eq!(scene.now(), [scene.texts[2], scene.texts[3]]);
        assert!(scene.path("allow").is_symlink());
        let now = std::fs::metadata(scene.path("allow")).unwrap().permissions();
        assert_eq!(now.mode() & 0o7777, mode.mode());
    }

    #[test]
    fn what_was_written_for_nothing_counts_for_nothing() {
        let scene = Scene::new(["", "", "", ""]);
        std::fs::write(scene.path("allow.tcpwrap-first"), "ALL: ALL\n").unwrap();
        assert_eq!(scene.still_to_do(), ["", ""]);
    }
}
