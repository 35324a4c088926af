//! What one ELF file says of itself: the libraries it needs, where it has them looked for, and which functions of
//! libwrap it calls or contains.

use std::fs::File;
use std::io;
use std::path::Path;

use hosts_access::source;
use memchr::memmem;
use object::elf::{DT_NEEDED, DT_RPATH, DT_RUNPATH, FileHeader32, FileHeader64};
use object::read::ReadCache;
use object::read::elf::{ElfFile, FileHeader, ProgramHeader as _};
use object::{Endianness, FileKind, Object as _, ObjectSymbol as _};

/// The functions by which a program asks the tables.
pub const ASKING: [&str; 3] = ["hosts_access", "hosts_ctl", "request_init"];

/// A program or a shared library, as its file has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Elf {
    /// The machine it is for: `e_machine`, and whether it has 64 bits.
    pub machine: (u16, bool),
    /// The loader that starts it; nothing for a library or a static program.
    pub loader: Option<Vec<u8>>,
    /// The names of the libraries it needs, in order.
    pub needed: Vec<Vec<u8>>,
    /// `DT_RPATH`
    pub rpath: Option<Vec<u8>>,
    /// `DT_RUNPATH`
    pub runpath: Option<Vec<u8>>,
    /// Of [`ASKING`], those it takes from a library.
    pub calls: Vec<&'static str>,
    /// Of [`ASKING`], those it contains.
    pub contains: Vec<&'static str>,
    /// It takes `dlopen` from a library, so it may load others later.
    pub loads_later: bool,
    /// The version of this project's libwrap, where it is that, or contains it.
    pub version: Option<String>,
}

impl Elf {
    /// Reads a file; nothing where it is no ELF file, or a damaged one.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        let Some(file) = regular(path)? else {
            return Ok(None);
        };
        let data = ReadCache::new(file);
        Ok(match FileKind::parse(&data) {
            Ok(FileKind::Elf64) => Elf::of::<FileHeader64<Endianness>>(&data, true),
            Ok(FileKind::Elf32) => Elf::of::<FileHeader32<Endianness>>(&data, false),
            _ => None,
        })
    }

    fn of<H>(data: &ReadCache<File>, is_64: bool) -> Option<Self>
    where
        H: FileHeader<Endian = Endianness>,
    {
        let file = ElfFile::<H, _>::parse(data).ok()?;
        let endian = file.endian();
        let mut found = Elf {
            machine: (file.elf_header().e_machine(endian), is_64),
            version: version(&file),
            ..Elf::default()
        };
        found.loader = file
            .elf_program_headers()
            .iter()
            .find_map(|header| header.interpreter(endian, data).ok().flatten())
            .map(<[u8]>::to_vec);
        if let Ok(dynamic) = file.elf_dynamic_table() {
            for entry in &dynamic {
                let text = || dynamic.string(entry).ok().map(<[u8]>::to_vec);
                match entry.tag {
                    DT_NEEDED => found.needed.extend(text()),
                    DT_RPATH => found.rpath = text(),
                    DT_RUNPATH => found.runpath = text(),
                    _ => {}
                }
            }
        }
        // A library's own functions are of interest only where others can call them.
        let own = file
            .symbols()
            .filter(|_| found.loader.is_some() || found.needed.is_empty());
        for symbol in file.dynamic_symbols().chain(own) {
            let Ok(name) = symbol.name_bytes() else { continue };
            found.loads_later |= symbol.is_undefined() && name == b"dlopen";
            let Some(asking) = ASKING.into_iter().find(|asking| asking.as_bytes() == name) else {
                continue;
            };
            let list = match symbol.is_undefined() {
                true => &mut found.calls,
                false => &mut found.contains,
            };
            if !list.contains(&asking) {
                list.push(asking);
            }
        }
        Some(found)
    }
}

/// The version in the note by which this project's libwrap is known.
fn version<'d, H>(file: &ElfFile<'d, H, &'d ReadCache<File>>) -> Option<String>
where
    H: FileHeader<Endian = Endianness>,
{
    let endian = file.endian();
    let headers = file.elf_program_headers().iter();
    for mut notes in headers.filter_map(|header| header.notes(endian, file.data()).ok().flatten()) {
        while let Ok(Some(note)) = notes.next() {
            if note.name() == b"tcpwrap" {
                let text = note.desc().split(|byte| *byte == 0).next()?;
                return Some(String::from_utf8_lossy(text).into_owned());
            }
        }
    }
    None
}

/// Which of these texts occur in a file. Nothing does in what is no regular file.
///
/// # Errors
/// Where the file cannot be read.
pub fn holds<const N: usize>(path: &Path, texts: [&[u8]; N]) -> io::Result<[bool; N]> {
    let Some(file) = regular(path)? else {
        return Ok([false; N]);
    };
    let longest = texts.iter().map(|text| text.len()).max().unwrap_or(0);
    let mut found = [false; N];
    let mut pieces = Pieces {
        file,
        buffer: Vec::new(),
        overlap: longest.saturating_sub(1),
    };
    while let Some(piece) = pieces.next()? {
        for (text, found) in texts.iter().zip(&mut found) {
            *found = *found || memmem::find(piece, text).is_some();
        }
        if found.iter().all(|found| *found) {
            break;
        }
    }
    Ok(found)
}

/// A file in pieces that overlap, so that no text is cut in all of them.
struct Pieces {
    file: File,
    buffer: Vec<u8>,
    overlap: usize,
}

impl Pieces {
    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        use std::io::Read as _;
        const SIZE: u64 = 1 << 16;
        let kept = self.buffer.len().min(self.overlap);
        self.buffer.drain(..self.buffer.len() - kept);
        let count = (&self.file).take(SIZE).read_to_end(&mut self.buffer)?;
        Ok((count > 0).then_some(&self.buffer[..]))
    }
}

/// Opens a regular file, and nothing else.
fn regular(path: &Path) -> io::Result<Option<File>> {
    if !std::fs::metadata(path)?.is_file() {
        return Ok(None);
    }
    source::open(path).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_program() {
        let elf = Elf::read(&std::env::current_exe().unwrap()).unwrap().unwrap();
        assert!(elf.machine.1);
        assert!(
            elf.needed.iter().any(|name| name.starts_with(b"libc.so")),
            "{elf:?}"
        );
        assert!(elf.loader.is_some());
        assert!(elf.calls.is_empty() && elf.contains.is_empty());
    }

    #[test]
    fn what_is_no_program() {
        assert_eq!(Elf::read(Path::new("/etc/passwd")).unwrap(), None);
        assert_eq!(Elf::read(Path::new("/dev/zero")).unwrap(), None);
        assert_eq!(Elf::read(Path::new("/usr")).unwrap(), None);
        assert!(Elf::read(Path::new("/no/such/file")).is_err());
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        for length in [4, 20, 64, 200, 4096] {
            let cut = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(cut.path(), &own[..length]).unwrap();
            // Whatever it says, it ends.
            let _ = Elf::read(cut.path()).unwrap();
        }
    }

    #[test]
    fn a_text_is_found_wherever_it_stands() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for at in [0, 65_530, 65_536, 131_070] {
            let text = [&vec![b'.'; at][..], b"libwrap.so"].concat();
            std::fs::write(file.path(), &text).unwrap();
            assert_eq!(
                holds(file.path(), [b"libwrap.so", b"hosts.deny"]).unwrap(),
                [true, false]
            );
            std::fs::write(file.path(), &text[..text.len() - 1]).unwrap();
            assert_eq!(holds(file.path(), [b"libwrap.so"]).unwrap(), [false]);
        }
    }
}
