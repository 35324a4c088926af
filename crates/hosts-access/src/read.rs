//! Reading a table up to the next rule that matches: by scanning its file, or by its index.
//!
//! Both only choose which lines are looked at; each line goes to the same [`Matcher`]. Reading may be suspended at
//! any rule and goes on there.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::decide::{Ask, FilesKept};
use crate::decision::{Deciding, TableKind};
use crate::diagnostic::{Kind, Place};
use crate::fact::{Cause, Fact};
use crate::files::{HostFile, IndexedFile, NextWord};
use crate::index::{Candidate, LongRule};
use crate::index_file::{self, DiskIndex, Jump, NoIndex, What};
use crate::matching::{self, MAX_FILE_DEPTH, Match, Matching, host_matches};
use crate::options;
use crate::policy::{Compiled, Kept};
use crate::request::{Pending, Request, Side};
use crate::room::{self, LONG_LINE};
use crate::skip::Skipper;
use crate::source::{self, Ending, Line, Lines, Reader};
use crate::syntax::pattern::HostPattern;
use crate::syntax::{LineKind, fields, line_kind};
use crate::text::strerror;
use crate::trace::Trace;
use crate::work;

/// What reading a table came to.
#[derive(Debug)]
pub(crate) enum Read {
    /// Something is needed, or lines wait to be logged.
    Suspended,
    /// No rule is left that matches.
    NoMatch,
    /// The table cannot be read to its end.
    Error,
    /// A rule matches.
    Rule(Found),
    /// It cannot be told whether this rule matches.
    Doubtful(Found),
}

/// A rule that matches.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) rule: Deciding,
    /// Where its options begin in its line, if it has any.
    pub(crate) options: Option<usize>,
}

/// Where reading goes on.
#[derive(Debug)]
pub(crate) enum Resume {
    /// At the start of the table, which has been tried and found changing so often.
    Start { tries: usize },
    /// At a rule, by its number among those of the index.
    Rule { next: u32, again: bool },
    /// At a line of the file.
    Line { scanning: Box<Scanning>, tries: usize },
}

impl Resume {
    pub(crate) const START: Self = Resume::Start { tries: 0 };
}

/// A table that is being scanned.
#[derive(Debug)]
pub(crate) struct Scanning {
    reader: Reader,
    skipper: Skipper,
    /// Where the next line begins in the piece that was read last, and how many lines are above it.
    at: usize,
    lines_above: u32,
    /// That line has been tried, and needed something.
    again: bool,
    /// Which rules could match, and the first of them that has not been tried.
    index: Option<DiskIndex>,
    next: u32,
}

/// Files that patterns name, as one decision sees them: each is looked at when a pattern first needs it, and kept
/// until the decision ends. Most decisions need none.
#[derive(Debug, Default)]
pub(crate) struct FilesSeen(Option<Box<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    files: [HashMap<Vec<u8>, Arc<HostFile>>; 2],
    /// How often the next one has been found changing.
    tries: usize,
    /// Those around the pattern that is tried.
    open: Vec<Vec<u8>>,
    /// Those tried for a pattern of a rule, and the least depth they were tried at: from there all that they name
    /// was tried too, so however often files name each other, each is read at most once a depth.
    tried: HashMap<Vec<u8>, usize>,
}

impl FilesSeen {
    fn get(&mut self) -> &mut Seen {
        self.0.get_or_insert_default()
    }
}

/// Where the files that patterns name come from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Files<'f> {
    Read,
    Compiled(&'f Compiled, FilesKept),
}

impl Files<'_> {
    /// The file's patterns that could match this end; none where it is missing or, with a warning, cannot be read.
    fn open(
        self,
        path: &[u8],
        side: Side,
        seen: &mut Seen,
        request: &mut Request,
    ) -> Result<Arc<HostFile>, Pending> {
        let side = self.kept_for(side);
        room::expect(8 * path.len());
        let files = &mut seen.files[side as usize];
        files.try_reserve(1).expect("memory for a decision");
        let known = match (files.get(path), self, side) {
            (Some(file), ..) => Ok(Arc::clone(file)),
            (None, Files::Compiled(compiled, kept), _) => compiled.file(path, kept).ok_or(NoIndex::NotOurs),
            (None, Files::Read, Side::Client) => {
                IndexedFile::open(path).map(|_| Arc::new(HostFile::beside_index()))
            }
            (None, Files::Read, Side::Server) => Err(NoIndex::NotOurs),
        };
        match known {
            Ok(file) => {
                files.entry(path.to_vec()).or_insert_with(|| Arc::clone(&file));
                file.warn(path, request);
                Ok(file)
            }
            Err(no_index) => self.read(path, side, no_index, seen, request),
        }
    }

    /// The same, read whole.
    fn read(
        self,
        path: &[u8],
        side: Side,
        no_index: NoIndex,
        seen: &mut Seen,
        request: &mut Request,
    ) -> Result<Arc<HostFile>, Pending> {
        let side = self.kept_for(side);
        let client = match (self, side) {
            (Files::Read, Side::Client) => Some(&*request),
            (Files::Read, Side::Server) | (Files::Compiled(..), _) => None,
        };
        let file = match HostFile::read(path, client, seen.tries) {
            Ok(file) => Arc::new(file.without_index(no_index)),
            Err(time) => {
                seen.tries += 1;
                return Err(request.pause(time));
            }
        };
        seen.tries = 0;
        seen.files[side as usize].insert(path.to_vec(), Arc::clone(&file));
        file.warn(path, request);
        Ok(file)
    }

    /// For which end a file is kept.
    fn kept_for(self, side: Side) -> Side {
        match self {
            Files::Read => side,
            // What is compiled is for both.
            Files::Compiled(..) => Side::Client,
        }
    }
}

/// Holds one line after the other against a request.
pub(crate) struct Matcher<'m, T> {
    files: Files<'m>,
    files_seen: &'m mut FilesSeen,
    trace: &'m mut T,
    ask: &'m mut Ask<'m>,
    daemons: LastDaemons,
}

/// What the daemon list of the rule before came to: neighbours nearly always have the same.
#[derive(Default)]
struct LastDaemons {
    list: [u8; 32],
    length: usize,
    matched: Option<Match>,
}

impl LastDaemons {
    fn of(&self, list: &[u8]) -> Option<Match> {
        self.matched.filter(|_| self.list[..self.length] == *list)
    }

    /// Only what depends on nothing but the daemon and the port, which stay as they are.
    fn remember(&mut self, list: &[u8], matched: Match) {
        self.matched = None;
        if let Some(place) = self.list.get_mut(..list.len())
            && !list.contains(&b'@')
        {
            place.copy_from_slice(list);
            self.length = list.len();
            self.matched = Some(matched);
        }
    }
}

/// What one line turned out to be.
enum Examined<'l> {
    /// Nothing to act on.
    Next,
    /// A rule whose lists match, and its options.
    Matches(Option<&'l [u8]>),
    /// The same, where that cannot be told.
    Doubtful(Option<&'l [u8]>),
    /// The end of what can be read of the table.
    Error,
}

/// Which of the tables is read, and from where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table<'t> {
    pub(crate) kind: TableKind,
    pub(crate) path: &'t Arc<Path>,
}

impl Table<'_> {
    fn place(&self, line: u32) -> Place {
        Place {
            file: Arc::clone(self.path),
            line,
        }
    }

    fn found(&self, line: &Line<'_>, options: Option<&[u8]>, long: Option<&LongRule>) -> Found {
        if line.text.len() > LONG_LINE {
            room::expect(line.text.len());
        }
        Found {
            rule: Deciding {
                table: self.kind,
                place: self.place(line.last),
                first_line: line.first,
                line: match long {
                    Some(long) => Arc::clone(long.text()),
                    None => Arc::from(line.text),
                },
            },
            // They are the rest of it.
            options: options.map(|options| line.text.len() - options.len()),
        }
    }

    /// Logs that the table's index is damaged.
    fn warn_of_index(&self, request: &mut Request) {
        request.set_place(None);
        request.log(Kind::Warning, index_file::damaged(self.path, "table"));
        request.set_place(Some(self.place(0)));
    }

    /// Logs that the table cannot be opened.
    fn unreadable(&self, error: &io::Error, request: &mut Request) -> Read {
        request.set_place(None);
        let file = self.path.as_os_str().as_encoded_bytes();
        request.log(
            Kind::Warning,
            [b"cannot open ", file, b": ", strerror(error).as_bytes()].concat(),
        );
        Read::Error
    }
}

impl<'m, T: Trace> Matcher<'m, T> {
    #[inline]
    pub(crate) fn new(
        files: Files<'m>,
        files_seen: &'m mut FilesSeen,
        trace: &'m mut T,
        ask: &'m mut Ask<'m>,
    ) -> Self {
        Matcher {
            files,
            files_seen,
            trace,
            ask,
            daemons: LastDaemons::default(),
        }
    }

    /// Reads a table that is in memory.
    pub(crate) fn consult(
        &mut self,
        table: Table<'_>,
        kept: &Kept,
        resume: &mut Resume,
        request: &mut Request,
    ) -> Read {
        let (text, index) = match kept {
            Kept::Missing => return Read::NoMatch,
            Kept::Unreadable(error) => return table.unreadable(error, request),
            // Comments alone, as allow tables often are.
            Kept::Text(_, index) if index.is_empty() => return Read::NoMatch,
            Kept::Text(text, index) => (text, index),
        };
        let (mut next, mut again) = match resume {
            Resume::Rule { next, again } => (*next, *again),
            Resume::Start { .. } | Resume::Line { .. } => (0, false),
        };
        let mut candidates = index.candidates(next);
        loop {
            let found = candidates.next(text, request);
            if !matches!(found, Ok(None)) {
                request.enter(table.path);
            }
            let (position, candidate) = match found {
                Ok(Some(found)) => found,
                Ok(None) => return Read::NoMatch,
                // Before the first of them: what `resume` says still holds.
                Err(Pending { .. }) => return Read::Suspended,
            };
            // Another one, where what was needed showed that this one cannot match.
            again &= position == next;
            next = position;
            let mut lines;
            let (line, long) = match candidate {
                Candidate::Lines(from_here) => {
                    lines = from_here;
                    (lines.next(), None)
                }
                Candidate::Long(rule) => (Some(rule.line()), Some(rule)),
            };
            let Some(line) = line else {
                return Read::NoMatch;
            };
            let examined = self.examine(table, &line, long, std::mem::take(&mut again), request);
            *resume = match &examined {
                Ok(_) => Resume::Rule {
                    next: next + 1,
                    again: false,
                },
                Err(Pending { .. }) => Resume::Rule { next, again: true },
            };
            match examined {
                Ok(Examined::Next) if request.log_is_full() => return Read::Suspended,
                Ok(Examined::Next) => {}
                Ok(Examined::Error) => return Read::Error,
                Ok(Examined::Matches(options)) => return Read::Rule(table.found(&line, options, long)),
                Ok(Examined::Doubtful(options)) => {
                    return Read::Doubtful(table.found(&line, options, long));
                }
                Err(Pending { .. }) => return Read::Suspended,
            }
        }
    }

    /// Reads a table from its file.
    pub(crate) fn scan(&mut self, table: Table<'_>, resume: &mut Resume, request: &mut Request) -> Read {
        let (scanning, tries) = match std::mem::replace(resume, Resume::START) {
            Resume::Line { scanning, tries } => (Ok(scanning), tries),
            Resume::Start { tries } => (self.begin_scan(table, request), tries),
            Resume::Rule { .. } => (self.begin_scan(table, request), 0),
        };
        let read = scanning.and_then(|mut scanning| {
            let read = self.scan_on(table, &mut scanning, request)?;
            let goes_on = |read: &Read| match read {
                Read::Suspended | Read::Doubtful(_) => true,
                Read::Rule(found) => found.options.is_some(),
                Read::NoMatch | Read::Error => false,
            };
            if read.as_ref().is_some_and(goes_on) {
                scanning.suspend();
                *resume = Resume::Line { scanning, tries };
            }
            Ok(read)
        });
        let failed = match read {
            Ok(Some(read)) => return read,
            Ok(None) => None,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Read::NoMatch,
            Err(error) => Some(error),
        };
        match source::pause(tries, failed) {
            Ok(time) => {
                *resume = Resume::Start { tries: tries + 1 };
                let Pending { .. } = request.pause(time);
                Read::Suspended
            }
            Err(error) => table.unreadable(&error, request),
        }
    }

    fn begin_scan(&mut self, table: Table<'_>, request: &mut Request) -> io::Result<Box<Scanning>> {
        let reader = Reader::open(table.path)?;
        let index = match T::PASSES_OVER {
            true => Scanning::index(table, &reader, request),
            false => None,
        };
        Ok(Box::new(Scanning {
            skipper: Skipper::new(reader.identity().0.size()),
            reader,
            at: 0,
            lines_above: 0,
            again: false,
            index,
            next: 0,
        }))
    }

    /// Nothing where the file was changed under its hands.
    fn scan_on(
        &mut self,
        table: Table<'_>,
        scanning: &mut Scanning,
        request: &mut Request,
    ) -> io::Result<Option<Read>> {
        if !scanning.resume(table.path)? {
            return Ok(None);
        }
        let Scanning {
            reader,
            skipper,
            at,
            lines_above,
            again,
            index,
            next,
        } = scanning;
        request.set_place(Some(table.place(0)));
        // A rule that is tried again is not looked for.
        let from = *next + u32::from(*again);
        let mut candidates = index.as_ref().map(|index| (index, index.candidates(from)));
        loop {
            if let Some((index, rules)) = &mut candidates
                && !*again
            {
                match index.next(rules, request) {
                    Err(Pending { .. }) => return Ok(Some(Read::Suspended)),
                    Ok(Jump::End) => {
                        return Ok(reader.is_unchanged(table.path, false)?.then_some(Read::NoMatch));
                    }
                    Ok(Jump::To(rule, offset, above)) => {
                        let Some(place) = reader.jump(offset)? else {
                            return Ok(None);
                        };
                        (*next, *at, *lines_above) = (rule, place, above);
                    }
                    Ok(Jump::Lost) => {
                        candidates = None;
                        table.warn_of_index(request);
                    }
                }
            }
            let mut lines = Lines::from(reader.piece(), *at, *lines_above);
            loop {
                if T::PASSES_OVER && !*again && candidates.is_none() {
                    lines.pass(skipper.pass(lines.text(), lines.position().0, request, self));
                }
                (*at, *lines_above) = lines.position();
                let Some(line) = lines.next() else { break };
                let examined = self.examine(table, &line, None, std::mem::take(again), request);
                if examined.is_ok() {
                    *next += 1;
                }
                match examined {
                    Ok(Examined::Next) if !request.log_is_full() => {
                        if candidates.is_none() {
                            continue;
                        }
                        (*at, *lines_above) = lines.position();
                        break;
                    }
                    Err(Pending { .. }) => {
                        *again = true;
                        return Ok(Some(Read::Suspended));
                    }
                    Ok(Examined::Next) => {
                        (*at, *lines_above) = lines.position();
                        return Ok(Some(Read::Suspended));
                    }
                    Ok(Examined::Error | Examined::Matches(_) | Examined::Doubtful(_))
                        if !reader.is_unchanged(table.path, false)? =>
                    {
                        return Ok(None);
                    }
                    Ok(Examined::Error) => return Ok(Some(Read::Error)),
                    Ok(Examined::Matches(options)) => {
                        let found = table.found(&line, options, None);
                        (*at, *lines_above) = lines.position();
                        return Ok(Some(Read::Rule(found)));
                    }
                    Ok(Examined::Doubtful(options)) => {
                        let found = table.found(&line, options, None);
                        (*at, *lines_above) = lines.position();
                        return Ok(Some(Read::Doubtful(found)));
                    }
                }
            }
            if candidates.is_some() {
                continue;
            }
            if !reader.read_piece()? {
                return Ok(reader.is_unchanged(table.path, true)?.then_some(Read::NoMatch));
            }
            *at = 0;
        }
    }

    /// Looks at one logical line: is it a rule, and do its lists match? `long` knows more of a long one.
    #[inline]
    fn examine<'l>(
        &mut self,
        table: Table<'_>,
        line: &Line<'l>,
        long: Option<&'l LongRule>,
        again: bool,
        request: &mut Request,
    ) -> Result<Examined<'l>, Pending> {
        work::add(1);
        request.set_line(line.last);
        request.attempt(again);
        if line.ending != Ending::Newline {
            let text = match line.ending {
                Ending::Nul => "NUL byte in line",
                Ending::Unterminated | Ending::Newline => "missing newline or line too long",
            };
            request.log(Kind::Warning, text);
            request.log(Kind::Warning, "all the subsequent rules will be ignored");
            return Ok(Examined::Error);
        }
        if line_kind(line.text) != LineKind::Rule {
            return Ok(Examined::Next);
        }
        let Some(fields) = long.map(LongRule::fields).or_else(|| fields(line.text)) else {
            request.log(Kind::Warning, "missing \":\" separator");
            return Ok(Examined::Next);
        };
        if again {
            self.trace.again();
        }
        self.trace.rule(table.kind, table.path, line);
        let known = self.daemons.of(fields.daemons).filter(|_| T::PASSES_OVER);
        let mut matched = match known {
            Some(known) => known,
            None => {
                let matched = matching::daemons_match(fields.daemons, request, self)?;
                self.daemons.remember(fields.daemons, matched);
                matched
            }
        };
        if matched != Match::No {
            matched = matched.and(match long {
                Some(long) => long.clients_match(request, self)?,
                None => matching::clients_match(fields.clients, request, self)?,
            });
        }
        if let Some(options) = fields.options
            && matched != Match::No
        {
            for list in options::conditions(options) {
                if matched != Match::No {
                    matched = matched.and(matching::clients_match(&list, request, self)?);
                }
            }
        }
        self.trace.matched(matched);
        Ok(match matched {
            Match::Yes => Examined::Matches(fields.options),
            Match::No => Examined::Next,
            Match::Unknown => Examined::Doubtful(fields.options),
        })
    }

    /// Tries every rule of a table, whatever they decide, as far as `resume` does not say that it was tried.
    pub(crate) fn try_all(
        &mut self,
        table: Table<'_>,
        text: &[u8],
        resume: &mut (usize, u32, bool),
        request: &mut Request,
    ) -> Result<(), Pending> {
        request.set_place(Some(table.place(0)));
        let mut lines = Lines::from(text, resume.0, resume.1);
        loop {
            (resume.0, resume.1) = lines.position();
            let Some(line) = lines.next() else { break };
            let again = std::mem::replace(&mut resume.2, true);
            if matches!(self.examine(table, &line, None, again, request)?, Examined::Error) {
                break;
            }
            resume.2 = false;
        }
        request.set_place(None);
        Ok(())
    }
}

impl Scanning {
    /// The table's index, where there is one that is its own.
    fn index(table: Table<'_>, reader: &Reader, request: &mut Request) -> Option<DiskIndex> {
        let (id, owner) = reader.identity();
        match DiskIndex::open(table.path, What::Table, &id, owner) {
            Ok(index) => Some(index),
            Err(NoIndex::NotOurs) => None,
            Err(NoIndex::Damaged) => {
                table.warn_of_index(request);
                None
            }
        }
    }

    /// Closes the files, to go on later.
    fn suspend(&mut self) {
        self.reader.suspend();
        if let Some(index) = &mut self.index {
            index.suspend();
        }
    }

    /// Opens them again; false where the table is another one by now.
    fn resume(&mut self, path: &Path) -> io::Result<bool> {
        let jumped = self.index.is_some();
        let owner = self.reader.identity().1;
        // One that was replaced meanwhile is done without.
        self.index = self.index.take().and_then(|index| index.resume(owner));
        self.reader.resume(path, jumped)
    }
}

impl<T: Trace> Matcher<'_, T> {
    /// Does a word of a file match that has an index beside it, if that can be used?
    fn words_match(
        &mut self,
        path: &[u8],
        side: Side,
        depth: usize,
        request: &mut Request,
    ) -> Result<Result<Match, NoIndex>, Pending> {
        let file = match IndexedFile::open(path) {
            Ok(file) => file,
            Err(no_index) => return Ok(Err(no_index)),
        };
        let mut candidates = file.candidates();
        let mut matched = Match::No;
        while matched != Match::Yes {
            match file.next(&mut candidates, request)? {
                NextWord::Word(word) => {
                    let pattern = HostPattern::parse(&word);
                    matched = matched.or(host_matches(pattern, side, request, self, depth + 1)?);
                }
                NextWord::End => break,
                NextWord::Lost => return Ok(Err(NoIndex::Damaged)),
            }
        }
        Ok(match file.is_unchanged(path) {
            true => Ok(matched),
            false => Err(NoIndex::NotOurs),
        })
    }
}

impl<T: Trace> Matching for Matcher<'_, T> {
    fn file_matches(
        &mut self,
        request: &mut Request,
        side: Side,
        path: &[u8],
        depth: usize,
    ) -> Result<Match, Pending> {
        if path.len() > LONG_LINE {
            room::expect(8 * path.len());
        }
        let seen = self.files_seen.get();
        if depth == 0 {
            seen.open.clear();
            seen.tried.clear();
        }
        if depth >= MAX_FILE_DEPTH || seen.open.iter().any(|open| open == path) {
            let problem: &[u8] = if depth >= MAX_FILE_DEPTH {
                b": nested too deeply"
            } else {
                b": names itself"
            };
            request.log(Kind::Warning, [b"open ", path, problem].concat());
            return Ok(Match::No);
        }
        if seen.tried.get(path).is_some_and(|least| *least <= depth) {
            return Ok(Match::No);
        }
        seen.tried.try_reserve(1).expect("memory for a decision");
        seen.tried.insert(path.to_vec(), depth);
        seen.open.push(path.to_vec());
        let mut file = self.files.open(path, side, seen, request)?;
        if file.has_index() {
            match self.words_match(path, side, depth, request)? {
                Ok(matched) => {
                    self.files_seen.get().open.pop();
                    return Ok(matched);
                }
                Err(no_index) => {
                    let seen = self.files_seen.get();
                    // What the files that it names came to by then does not count.
                    seen.tried.clear();
                    file = self.files.read(path, side, no_index, seen, request)?;
                }
            }
        }
        let mut words = file.words(side);
        let mut matched = match file.is_short() {
            true => {
                let path = String::from_utf8_lossy(path);
                request.not_known(Cause::new(format!("{path} cannot be read now")))
            }
            false => Match::No,
        };
        while matched != Match::Yes
            && let Some(word) = words.next(request)?
        {
            matched = matched.or(host_matches(
                match side {
                    Side::Client => HostPattern::parse(word),
                    Side::Server => HostPattern::parse_server(word),
                },
                side,
                request,
                self,
                depth + 1,
            )?);
        }
        self.files_seen.get().open.pop();
        Ok(matched)
    }

    fn ask(&mut self, fact: &Fact, request: &mut Request) {
        if let Some(known) = request.answer_to(fact, self.ask) {
            request.set_fact(fact.clone(), known);
        }
    }

    #[inline]
    fn tried(&mut self, token: &[u8], matched: Match) {
        self.trace.token(token, matched);
    }
}
