//! `/etc/ld.so.cache`, in which ld.so(8) looks a library up: the format that ldconfig(8) has written since glibc 2.2,
//! alone or behind the older one.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use memchr::memmem;

/// Where it is.
pub const PATH: &str = "/etc/ld.so.cache";

const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
/// Magic, count of entries, length of the strings, flags, extensions.
const HEADER: usize = 48;
const ENTRY: usize = 24;

/// Libraries by name: their paths, the one to be tried first first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cache {
    libraries: HashMap<Vec<u8>, Vec<PathBuf>>,
}

impl Cache {
    /// Reads the cache of this machine; an empty one where there is none.
    pub fn of_this_host() -> Self {
        std::fs::read(PATH).map_or_else(|_| Cache::default(), |bytes| Cache::parse(&bytes))
    }

    /// Reads a cache. What is damaged is left out.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut cache = Cache::default();
        let Some(start) = memmem::find(bytes, MAGIC) else {
            return cache;
        };
        let bytes = &bytes[start..];
        let count = number(bytes, MAGIC.len()).unwrap_or(0);
        for at in 0..count {
            let entry = HEADER + at * ENTRY;
            let text = |field| {
                let from = bytes.get(number(bytes, entry + field)?..)?;
                from.split(|byte| *byte == 0).next()
            };
            let (Some(name), Some(path)) = (text(4), text(8)) else {
                break;
            };
            let paths = cache.libraries.entry(name.to_vec()).or_default();
            paths.push(PathBuf::from(OsStr::from_bytes(path)));
        }
        cache
    }

    /// Where a library of this name is, for whatever machine.
    pub fn paths(&self, name: &[u8]) -> impl Iterator<Item = &Path> {
        self.libraries
            .get(name)
            .into_iter()
            .flatten()
            .map(PathBuf::as_path)
    }
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    usize::try_from(u32::from_ne_bytes(bytes.try_into().ok()?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_ldconfig_prints_it() {
        let printed = std::process::Command::new("/sbin/ldconfig")
            .arg("-p")
            .output()
            .unwrap();
        let printed = String::from_utf8(printed.stdout).unwrap();
        let cache = Cache::of_this_host();
        let mut seen = 0;
        for line in printed.lines().skip(1) {
            let Some((name, path)) = line.trim().split_once(" => ") else {
                continue;
            };
            let (name, _) = name.split_once(" (").unwrap();
            assert!(
                cache.paths(name.as_bytes()).any(|known| known == Path::new(path)),
                "{line}"
            );
            seen += 1;
        }
        assert!(seen > 10, "{printed}");
        assert_eq!(cache.libraries.values().map(Vec::len).sum::<usize>(), seen);
    }

    #[test]
    fn damage_costs_what_is_damaged() {
        let whole = std::fs::read(PATH).unwrap();
        for length in [0, 10, 30, 60, 100, whole.len() / 2, whole.len() - 1] {
            let _ = Cache::parse(&whole[..length]);
        }
        let mut many = whole;
        let start = memmem::find(&many, MAGIC).unwrap() + MAGIC.len();
        many[start..start + 4].copy_from_slice(&[0xff; 4]);
        let _ = Cache::parse(&many);
    }
}
