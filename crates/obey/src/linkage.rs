//! From a program to the libwrap that it would get: the libraries it needs, and those they need, each found as
//! ld.so(8) finds it.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::cache::Cache;
use crate::elf::{self, Elf};

/// How a program comes to functions that ask the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linkage {
    /// How that is known.
    pub how: How,
    /// The libraries on the way from the program to libwrap, without the two.
    pub through: Vec<PathBuf>,
    /// The libwrap it gets; nothing where libwrap is part of the program, or not found.
    pub library: Option<PathBuf>,
    /// The version of it, where it is this project's; nothing where it is another.
    pub version: Option<String>,
    /// The functions of libwrap that it, or a library on the way, calls.
    pub calls: Vec<&'static str>,
}

/// What tells that a program has libwrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum How {
    /// It needs the library, or a library it needs does.
    Needed,
    /// It needs the library, which is not here: it cannot start.
    Missing,
    /// Libwrap's functions are part of the program.
    Contained,
    /// It names both tables, though it needs no libwrap: that, or something like it, is probably part of it.
    NamesTables,
    /// It loads libraries later, and names this one.
    LoadsLater,
}

/// Finds libraries, and remembers what it has read.
#[derive(Debug, Default)]
pub struct Linker {
    cache: Cache,
    elves: RefCell<HashMap<PathBuf, Option<Rc<Elf>>>>,
}

/// A library in the order in which ld.so comes to it.
struct Loaded {
    path: PathBuf,
    elf: Rc<Elf>,
    /// Who needs it.
    by: Option<usize>,
}

impl Linker {
    /// With the cache of this machine.
    pub fn of_this_host() -> Self {
        Linker {
            cache: Cache::of_this_host(),
            elves: RefCell::default(),
        }
    }

    /// How a program comes to libwrap; nothing where it does not. `library_path` is what `LD_LIBRARY_PATH` is for it.
    pub fn linkage(&self, program: &Path, library_path: &[PathBuf]) -> Option<Linkage> {
        let elf = self.elf(program)?;
        if !elf.contains.is_empty() {
            return Some(Linkage {
                how: How::Contained,
                through: Vec::new(),
                library: None,
                version: elf.version.clone(),
                calls: elf.contains.clone(),
            });
        }
        let found = self.needed(program, &elf, library_path);
        if found.is_some() {
            return found;
        }
        let is_likely = |how, version| Linkage {
            how,
            through: Vec::new(),
            library: None,
            version,
            calls: Vec::new(),
        };
        let texts: [&[u8]; 3] = [b"/etc/hosts.allow", b"/etc/hosts.deny", b"libwrap.so"];
        match elf::holds(program, texts).ok()? {
            [_, _, true] if elf.loads_later => Some(is_likely(How::LoadsLater, None)),
            [true, true, _] => Some(is_likely(How::NamesTables, elf.version.clone())),
            _ => None,
        }
    }

    fn needed(&self, program: &Path, elf: &Rc<Elf>, library_path: &[PathBuf]) -> Option<Linkage> {
        let mut loaded = vec![Loaded {
            path: program.to_path_buf(),
            elf: Rc::clone(elf),
            by: None,
        }];
        let mut known: HashSet<Vec<u8>> = HashSet::new();
        let mut waiting = VecDeque::from([0]);
        // Who needs libwrap, and which file it is.
        let mut libwrap: Option<(usize, Option<PathBuf>)> = None;
        while let Some(at) = waiting.pop_front() {
            let needed = Rc::clone(&loaded[at].elf);
            for name in &needed.needed {
                if !known.insert(name.clone()) {
                    continue;
                }
                let path = self.find(name, at, &loaded, library_path);
                if is_libwrap(name) {
                    libwrap = Some((at, path));
                    continue;
                }
                if let Some(path) = path
                    && let Some(elf) = self.elf(&path)
                {
                    waiting.push_back(loaded.len());
                    loaded.push(Loaded {
                        path,
                        elf,
                        by: Some(at),
                    });
                }
            }
        }
        let (mut by, library) = libwrap?;
        let mut calls: Vec<&'static str> = loaded.iter().flat_map(|l| l.elf.calls.clone()).collect();
        calls.sort_unstable();
        calls.dedup();
        let mut through = Vec::new();
        while let Some(next) = loaded[by].by {
            through.push(loaded[by].path.clone());
            by = next;
        }
        through.reverse();
        Some(Linkage {
            how: match library {
                Some(_) => How::Needed,
                None => How::Missing,
            },
            through,
            version: library.as_deref().and_then(|path| self.version(path)),
            library,
            calls,
        })
    }

    /// The version of this project's libwrap; nothing where the file is another's.
    pub fn version(&self, library: &Path) -> Option<String> {
        self.elf(library)?.version.clone()
    }

    /// What the file of this path says; nothing where it cannot be read, or is no ELF file.
    pub fn elf(&self, path: &Path) -> Option<Rc<Elf>> {
        if let Some(known) = self.elves.borrow().get(path) {
            return known.clone();
        }
        let elf = Elf::read(path).ok().flatten().map(Rc::new);
        self.elves.borrow_mut().insert(path.to_path_buf(), elf.clone());
        elf
    }

    /// Where the library of this name is that `loaded[by]` gets.
    fn find(&self, name: &[u8], by: usize, loaded: &[Loaded], library_path: &[PathBuf]) -> Option<PathBuf> {
        let program = &loaded[0].elf;
        let is_it = |path: &PathBuf| self.elf(path).is_some_and(|elf| elf.machine == program.machine);
        if name.contains(&b'/') {
            let [path] = &directories(name, &loaded[by].path)[..] else {
                return None;
            };
            return Some(path.clone()).filter(is_it);
        }
        let needing = &loaded[by];
        let mut places: Vec<PathBuf> = Vec::new();
        if needing.elf.runpath.is_none() {
            // Those of who needs it, of who needs that, and so on up to the program.
            let mut at = Some(by);
            while let Some(number) = at {
                let Loaded { path, elf, by } = &loaded[number];
                if let Some(rpath) = elf.rpath.as_ref().filter(|_| elf.runpath.is_none()) {
                    places.extend(directories(rpath, path));
                }
                at = *by;
            }
        }
        places.extend_from_slice(library_path);
        if let Some(runpath) = &needing.elf.runpath {
            places.extend(directories(runpath, &needing.path));
        }
        let file = OsStr::from_bytes(name);
        let in_places = |places: &[PathBuf]| places.iter().map(|place| place.join(file)).find(is_it);
        if let Some(path) = in_places(&places) {
            return Some(path);
        }
        if is_musl(program) {
            return in_places(&musl_directories(program));
        }
        let mut cached = self.cache.paths(name).map(Path::to_path_buf);
        cached.find(is_it).or_else(|| {
            let usual = if program.machine.1 {
                ["/lib64", "/usr/lib64"]
            } else {
                ["/lib32", "/usr/lib32"]
            };
            let usual: Vec<PathBuf> = usual
                .into_iter()
                .chain(["/lib", "/usr/lib"])
                .map(PathBuf::from)
                .collect();
            in_places(&usual)
        })
    }
}

fn is_libwrap(name: &[u8]) -> bool {
    let file = name.rsplit(|byte| *byte == b'/').next().unwrap_or(name);
    file.starts_with(b"libwrap.so")
}

fn is_musl(program: &Elf) -> bool {
    let loader = program.loader.as_deref().unwrap_or_default();
    memchr::memmem::find(loader, b"/ld-musl-").is_some()
}

/// Where musl's loader looks.
fn musl_directories(program: &Elf) -> Vec<PathBuf> {
    let loader = program.loader.as_deref().unwrap_or_default();
    let name = loader.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let name = name.strip_suffix(b".so.1").unwrap_or(name);
    let list = Path::new("/etc").join(OsStr::from_bytes(&[name, b".path"].concat()));
    let text = std::fs::read(list).unwrap_or_else(|_| b"/lib:/usr/local/lib:/usr/lib".to_vec());
    text.split(|byte| matches!(byte, b':' | b'\n'))
        .filter(|place| !place.is_empty())
        .map(|place| PathBuf::from(OsStr::from_bytes(place)))
        .collect()
}

/// The directories of a search path, as `LD_LIBRARY_PATH` and `DT_RUNPATH` have it; `$ORIGIN` is where `of` is.
pub fn directories(list: &[u8], of: &Path) -> Vec<PathBuf> {
    let origin = of.canonicalize().unwrap_or_else(|_| of.to_path_buf());
    let origin = origin.parent().unwrap_or(Path::new("/"));
    list.split(|byte| matches!(byte, b':' | b';'))
        .filter(|place| !place.is_empty())
        .map(|place| {
            let mut path = Vec::new();
            let mut rest = place;
            while let Some(at) = memchr::memchr(b'$', rest) {
                path.extend_from_slice(&rest[..at]);
                rest = &rest[at..];
                let word = [&b"$ORIGIN"[..], b"${ORIGIN}"]
                    .into_iter()
                    .find(|word| rest.starts_with(word));
                let (text, length) = match word {
                    Some(word) => (origin.as_os_str().as_bytes(), word.len()),
                    None => (&b"$"[..], 1),
                };
                path.extend_from_slice(text);
                rest = &rest[length..];
            }
            path.extend_from_slice(rest);
            PathBuf::from(OsStr::from_bytes(&path))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_s_own_directory() {
        let found = directories(
            b"$ORIGIN/../lib:/opt/x;${ORIGIN}:$LIB/y:",
            Path::new("/no/such/bin/program"),
        );
        let expected = ["/no/such/bin/../lib", "/opt/x", "/no/such/bin", "$LIB/y"];
        assert_eq!(found, expected.map(PathBuf::from));
    }

    #[test]
    fn what_no_program_is() {
        let linker = Linker::of_this_host();
        assert_eq!(linker.linkage(Path::new("/etc/passwd"), &[]), None);
        assert_eq!(linker.linkage(Path::new("/bin/sh"), &[]), None);
    }
}
