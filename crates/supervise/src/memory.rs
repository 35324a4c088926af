//! The memory of the image that made a call, and of no other.
//!
//! A number names whoever has it now: between a look at a call and a write by the number of its thread, another
//! thread may execute a setuid program, which then has that number. So the memory is opened first, by
//! `/proc/TID/mem`, and the call is looked at afterwards, see seccomp_unotify(2): a descriptor stays with the
//! memory it was opened for, and while the call waits that is its caller's.
//!
//! What is read and written this way pays no heed to the protection of the pages, as it is meant for
//! debuggers. `accept` does, so the guard asks for it.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, PoisonError};

use crate::call::check;
use crate::task::Task;

/// `PROCMAP_QUERY` of `linux/fs.h`, Linux 6.11.
const PROCMAP_QUERY: libc::Ioctl = 0xc068_6611_u32 as libc::Ioctl;
const PROCMAP_QUERY_VMA_WRITABLE: u64 = 2;

/// `struct procmap_query`.
#[derive(Default)]
#[repr(C)]
struct Query {
    size: u64,
    flags: u64,
    address: u64,
    start: u64,
    end: u64,
    protection: u64,
    rest: [u64; 7],
}

/// An image's memory.
#[derive(Debug)]
pub(crate) struct Memory {
    file: File,
    task: Arc<Task>,
}

impl Memory {
    /// Opens the memory that the thread has now. It is the caller's if the call still waits afterwards.
    pub(crate) fn open(task: &Arc<Task>) -> io::Result<Self> {
        Ok(Memory {
            file: task.open_file(c"mem", libc::O_RDWR)?,
            task: Arc::clone(task),
        })
    }

    /// Reads what must be there in full.
    pub(crate) fn read<const N: usize>(&self, from: u64) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        let read = self.file.read_at(&mut bytes, from);
        let full = read.is_ok_and(|length| length == N);
        full.then_some(bytes).ok_or_else(fault)
    }

    /// Writes what is another thing than was read there, where the program itself may.
    pub(crate) fn replace(&self, to: u64, old: &[u8], bytes: &[u8]) -> io::Result<()> {
        match old == bytes {
            true => self.check_writable(to, bytes.len()),
            false => self.write(to, bytes),
        }
    }

    fn check_writable(&self, to: u64, length: usize) -> io::Result<()> {
        let mut at = to;
        let end = to.checked_add(length as u64).ok_or_else(fault)?;
        while at < end {
            at = self.writable_to(at)?.min(end);
        }
        Ok(())
    }

    /// Writes, where the program itself may.
    pub(crate) fn write(&self, to: u64, bytes: &[u8]) -> io::Result<()> {
        self.check_writable(to, bytes.len())?;
        let written = self.file.write_at(bytes, to);
        let full = written.is_ok_and(|length| length == bytes.len());
        full.then_some(()).ok_or_else(fault)
    }

    /// Where the writable mapping ends that this address is in. The last one is remembered: most calls of a
    /// thread give the same address.
    fn writable_to(&self, address: u64) -> io::Result<u64> {
        // Not locked any more while the map is asked.
        let known = || self.task.writable.lock().unwrap_or_else(PoisonError::into_inner);
        let (start, end) = *known();
        if (start..end).contains(&address) {
            return Ok(end);
        }
        let maps = self.task.open_file(c"maps", libc::O_RDONLY)?;
        let (start, end) = writable(&maps, address)?.ok_or_else(fault)?;
        *known() = (start, end);
        Ok(end)
    }
}

/// The writable mapping around an address, if there is one.
fn writable(maps: &File, address: u64) -> io::Result<Option<(u64, u64)>> {
    let mut query = Query {
        size: size_of::<Query>() as u64,
        address,
        ..Query::default()
    };
    // SAFETY: the structure the call takes, which says how long it is.
    match check(unsafe { libc::ioctl(maps.as_raw_fd(), PROCMAP_QUERY, &raw mut query) }.into()) {
        Ok(_) if query.protection & PROCMAP_QUERY_VMA_WRITABLE != 0 => Ok(Some((query.start, query.end))),
        Ok(_) => Ok(None),
        Err(error) if error.raw_os_error() == Some(libc::ENOTTY) => writable_in_list(maps, address),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The same on an older kernel.
fn writable_in_list(maps: impl io::Read, address: u64) -> io::Result<Option<(u64, u64)>> {
    for line in BufReader::new(maps).split(b'\n') {
        let line = line?;
        let mut words = line.split(|byte| *byte == b' ');
        let range = words.next().and_then(range);
        let is_writable = words.next().and_then(|letters| letters.get(1)) == Some(&b'w');
        match range {
            Some((start, end)) if is_writable && (start..end).contains(&address) => {
                return Ok(Some((start, end)));
            }
            _ => {}
        }
    }
    Ok(None)
}

/// A range of addresses, as `55d0-55e0`.
fn range(text: &[u8]) -> Option<(u64, u64)> {
    let (start, end) = std::str::from_utf8(text).ok()?.split_once('-')?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    Some((number(start)?, number(end)?))
}

fn fault() -> io::Error {
    io::Error::from_raw_os_error(libc::EFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both ways of asking find the same mappings.
    #[test]
    fn what_is_writable() {
        let mut writable_here = [0u8; 8];
        let stack = writable_here.as_mut_ptr() as u64;
        for (address, is_writable) in [
            (stack, true),
            (fault as fn() -> io::Error as usize as u64, false),
            (8, false),
        ] {
            let maps = || File::open("/proc/self/maps").unwrap();
            let found = writable(&maps(), address).unwrap();
            assert_eq!(found, writable_in_list(maps(), address).unwrap());
            assert_eq!(
                found.is_some_and(|(start, end)| (start..end).contains(&address)),
                is_writable
            );
        }
    }
}
