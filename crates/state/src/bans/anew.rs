//! Writing a list anew, without what says nothing any more, and its index.
//!
//! Nobody waits for that, however long the list is: what it says at one moment is written beside it, and only to
//! put in place what was prepared, and what was appended meanwhile behind it, is the list's lock held.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use super::index;
use super::last::{self, Last};
use super::list::{index_path, read_from};
use super::text::{Expiry, HEADING};
use super::write::{Locked, Task, Writer};
use crate::files;

/// How much of the list no index need cover.
const UNINDEXED: u64 = 64 * 1024;
/// How many lines that say nothing any more are worth a new list.
const SUPERSEDED: usize = 1000;
/// How long a ban that is over stays in the list when it is written anew, in seconds.
const REMEMBERED: u64 = 24 * 3600;
/// How much of the list's end tells whether it is as it was.
const END: u64 = 1024;

/// What is to take the place of a list and its index.
struct Prepared {
    /// The list it was made from, and how much of that.
    from: File,
    size: u64,
    end: Vec<u8>,
    /// Nothing, where the list stays and only its index is new.
    list: Option<File>,
}

impl Writer {
    /// Writes the list and its index anew if it is time, when much of it is not indexed or says nothing any more, and
    /// nobody else is at it.
    ///
    /// # Errors
    /// The list is as it was then.
    pub fn tidy(&self, now: u64) -> io::Result<()> {
        let Ok((file, metadata)) = files::open(self.path()) else {
            return Ok(());
        };
        let index = files::open(&index_path(self.path()));
        let index = index.ok().and_then(|(found, _)| index::Index::open(found, &file));
        let size = metadata.len();
        let (covers, count) = index.map_or((0, 0), |index| (index.covers(), index.count()));
        // As much again as an average line for every ban in the index would take.
        if size > covers + UNINDEXED || size > 200 * count + 2 * UNINDEXED {
            return match self.try_lock(Task::Rewriting)? {
                Some(alone) => self.write_anew(now, SUPERSEDED, &alone),
                None => Ok(()),
            };
        }
        Ok(())
    }

    /// Writes the list anew, without what later lines stand in place of and what was over a day ago, and indexes it.
    /// Lines that cannot be read are kept.
    ///
    /// # Errors
    /// The list is as it was then.
    pub fn compact(&self, now: u64) -> io::Result<()> {
        self.write_anew(now, 0, &self.lock(Task::Rewriting)?)
    }

    /// Writes the list anew if so many of its lines say nothing any more, and the index in any case.
    fn write_anew(&self, now: u64, superseded: usize, _alone: &Locked) -> io::Result<()> {
        /// It is begun anew when somebody without a lock has changed the list meanwhile.
        const TRIES: usize = 3;
        let mut written = Ok(false);
        for _ in 0..TRIES {
            written = self
                .prepare(now, superseded)
                .and_then(|prepared| self.put_in_place(prepared, &self.lock(Task::Writing)?));
            if !matches!(written, Ok(false)) {
                break;
            }
        }
        if !matches!(written, Ok(true)) {
            // Nobody wants what was prepared.
            let _ = fs::remove_file(self.new_list());
            let _ = fs::remove_file(self.new_index());
        }
        match written? {
            true => Ok(()),
            false => Err(io::Error::other(
                "somebody is changing it otherwise than by \"tcpwrap ban\" and \"unban\"",
            )),
        }
    }

    fn new_list(&self) -> PathBuf {
        self.beside("anew")
    }

    fn new_index(&self) -> PathBuf {
        self.beside("index.new")
    }

    fn prepare(&self, now: u64, superseded: usize) -> io::Result<Prepared> {
        // Up to here nothing of it will change any more, whoever appends to it.
        let (from, size) = self.open(&self.lock(Task::Writing)?)?;
        let mut text = read_from(&from, 0, size)?;
        let end = text[text.len().saturating_sub(END as usize)..].to_vec();
        let summary = last::summary(&text);
        let is_old = |line: &&Last| matches!(line.expiry, Expiry::At(end) if end + REMEMBERED < now);
        let old = summary.last.iter().filter(is_old).count();
        let mut list = None;
        if summary.superseded + old >= superseded {
            let mut new = Vec::with_capacity(HEADING.len() + text.len());
            new.extend_from_slice(HEADING.as_bytes());
            let kept = summary.last.iter().filter(|line| !is_old(line));
            let kept = kept.map(|line| (line.at, line.end));
            for (at, end) in kept.chain(summary.damaged.iter().map(|(_, at, end)| (*at, *end))) {
                new.extend_from_slice(&text[at..end]);
            }
            list = Some(files::write_new(&self.new_list(), &new)?);
            text = new;
        }
        let inode = list.as_ref().unwrap_or(&from).metadata()?.ino();
        files::write_new(&self.new_index(), &index::build(&text, inode, key()?))?;
        Ok(Prepared {
            from,
            size,
            end,
            list,
        })
    }

    /// Puts in place what was prepared. False, where the list is not any more what it was made from.
    fn put_in_place(&self, prepared: Prepared, locked: &Locked) -> io::Result<bool> {
        let (current, size) = self.open(locked)?;
        let [was, is] = [&prepared.from, &current].map(File::metadata);
        let (was, is) = (was?, is?);
        if (was.dev(), was.ino()) != (is.dev(), is.ino()) || size < prepared.size {
            return Ok(false);
        }
        let mut end = vec![0; prepared.end.len()];
        let begins = prepared.size.saturating_sub(end.len() as u64);
        current.read_exact_at(&mut end, begins)?;
        if end != prepared.end {
            return Ok(false);
        }
        if let Some(mut list) = prepared.list {
            let later = read_from(&current, prepared.size, size)?;
            if !later.is_empty() {
                list.write_all(&later)?;
                list.sync_data()?;
            }
            fs::rename(self.new_list(), self.path())?;
            // Before anybody appends to it what he acknowledges.
            self.sync_directory()?;
        }
        fs::rename(self.new_index(), index_path(self.path()))?;
        Ok(true)
    }
}

/// A key nobody else knows.
fn key() -> io::Result<(u64, u64)> {
    let mut key = [0; 16];
    File::open("/dev/urandom").and_then(|mut random| io::Read::read_exact(&mut random, &mut key))?;
    let (low, high) = (&key[..8], &key[8..]);
    let number = |half: &[u8]| half.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    Ok((number(low), number(high)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Ban, Queue, contents, look_up};
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn ban(network: &str, origin: &str) -> Ban {
        Ban {
            network: network.parse().unwrap(),
            expiry: Expiry::Never,
            origin: origin.into(),
            reason: String::new(),
        }
    }

    fn listed(path: &Path) -> Vec<String> {
        let bans = contents(path).unwrap().bans;
        bans.iter().map(|ban| ban.network.to_string()).collect()
    }

    fn is_banned(path: &Path, address: &str) -> bool {
        look_up(path, address.parse().unwrap(), NOW).unwrap().is_some()
    }

    #[test]
    fn nobody_waits_while_a_list_is_written_anew_and_what_is_written_meanwhile_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bans");
        let writer = Writer::new(&path);
        writer
            .add(&["192.0.2.1", "192.0.2.2", "192.0.2.1"].map(|network| ban(network, "admin")))
            .unwrap();
        let alone = writer.lock(Task::Rewriting).unwrap();
        let prepared = writer.prepare(NOW, 0).unwrap();
        // Others ban and take back, rules ban without waiting, and whoever decides is told.
        writer.add(&[ban("192.0.2.3", "admin")]).unwrap();
        writer
            .lift(&|network| network == "192.0.2.2".parse().unwrap(), None, NOW)
            .unwrap();
        let queue = Queue::new(&path);
        queue.add(ban("192.0.2.4", "rule")).unwrap();
        assert_eq!(queue.count_waiting(), 0);
        assert!(is_banned(&path, "192.0.2.1") && is_banned(&path, "192.0.2.4"));
        assert!(!is_banned(&path, "192.0.2.2"));
        // Two are not at it at once; whoever only tidies leaves it to the other.
        assert!(writer.try_lock(Task::Rewriting).unwrap().is_none());
        drop(alone);
        assert!(
            writer
                .put_in_place(prepared, &writer.lock(Task::Writing).unwrap())
                .unwrap()
        );
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            text.matches("192.0.2.1 ").count(),
            1,
            "it was written anew: {text}"
        );
        assert_eq!(
            listed(&path),
            ["192.0.2.1", "192.0.2.3", "192.0.2.2", "192.0.2.4"]
        );
        for (address, banned) in [("192.0.2.1", true), ("192.0.2.2", false), ("192.0.2.4", true)] {
            assert_eq!(is_banned(&path, address), banned, "{address}");
        }
        // While the lock itself is held, whoever decides is told all the same.
        let locked = writer.lock(Task::Writing).unwrap();
        assert!(is_banned(&path, "192.0.2.3"));
        queue.add(ban("192.0.2.5", "rule")).unwrap();
        assert_eq!(queue.count_waiting(), 1);
        drop(locked);
        queue.flush().unwrap();
        assert!(is_banned(&path, "192.0.2.5"));
    }

    #[test]
    fn a_list_that_was_changed_by_hand_meanwhile_is_begun_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bans");
        let writer = Writer::new(&path);
        for change in [
            "192.0.2.9 never admin x\n",
            "",
            "192.0.2.8 never admin and another reason\n",
        ] {
            writer.add(&[ban("192.0.2.1", "admin")]).unwrap();
            let prepared = writer.prepare(NOW, 0).unwrap();
            // In place, and as editors do it.
            let new = directory.path().join("new");
            fs::write(&new, change).unwrap();
            match change.len() {
                24 => drop(fs::copy(&new, &path).unwrap()),
                _ => fs::rename(&new, &path).unwrap(),
            }
            let put = writer.put_in_place(prepared, &writer.lock(Task::Writing).unwrap());
            assert!(!put.unwrap());
            assert_eq!(fs::read_to_string(&path).unwrap(), change);
            writer.compact(NOW).unwrap();
            assert_eq!(listed(&path).len(), change.lines().count());
        }
        let names = fs::read_dir(directory.path()).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["bans", "bans.index", "bans.lock"], "nothing is left over");
    }
}
