//! C's strings: in the structures, and the small string functions of the library.

use std::ffi::{CStr, c_char, c_int, c_ulong};
use std::io;

use hosts_access::address::dotted_quad;
use hosts_access::decide::reason;
use hosts_access::syntax::{cidr_mask, find_outside_brackets};

use crate::entry::guard;

/// The bytes of a string of a structure.
pub fn bytes(text: &[c_char]) -> &[u8] {
    // SAFETY: c_char and u8 have the same size and every bit pattern is valid for both.
    let text = unsafe { std::slice::from_raw_parts(text.as_ptr().cast::<u8>(), text.len()) };
    CStr::from_bytes_until_nul(text).map_or(text, CStr::to_bytes)
}

/// Puts bytes into a string of a structure, as many as it holds, cut between characters.
pub fn put(text: &mut [c_char], value: &[u8]) {
    let mut length = value.len().min(text.len() - 1);
    // Not in the middle of a UTF-8 sequence, where this is one.
    if length < value.len() && std::str::from_utf8(value).is_ok() {
        while value[length] & 0xc0 == 0x80 {
            length -= 1;
        }
    }
    // SAFETY: as in `bytes`.
    let text = unsafe { std::slice::from_raw_parts_mut(text.as_mut_ptr().cast::<u8>(), text.len()) };
    text[..length].copy_from_slice(&value[..length]);
    text[length..].fill(0);
}

/// The bytes of a C string; none for a null pointer.
///
/// # Safety
/// `text` is null or a C string that lives and does not change as long as the result is used.
pub unsafe fn c_bytes<'t>(text: *const c_char) -> &'t [u8] {
    if text.is_null() {
        return &[];
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(text) }.to_bytes()
}

/// Cuts a string at the first `delimiter` outside square brackets; returns what follows, or null.
///
/// # Safety
/// `text` is null or a C string that may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn split_at(text: *mut c_char, delimiter: c_int) -> *mut c_char {
    // SAFETY: as the caller promises.
    let found = u8::try_from(delimiter)
        .ok()
        .and_then(|d| find_outside_brackets(unsafe { c_bytes(text) }, d));
    match found {
        // SAFETY: the position is inside the string, and one behind it at most its NUL.
        Some(at) => unsafe {
            *text.add(at) = 0;
            text.add(at + 1)
        },
        None => std::ptr::null_mut(),
    }
}

/// A dotted quad in network order, or `INADDR_NONE`.
///
/// # Safety
/// `text` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dot_quad_addr(text: *const c_char) -> c_ulong {
    // SAFETY: as the caller promises.
    c_ulong::from(dotted_quad(unsafe { c_bytes(text) }).map_or(libc::INADDR_NONE, u32::to_be))
}

/// The mask of a prefix length in network order; 0 for what is no length from 1 to 32.
///
/// # Safety
/// `text` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cidr_mask_addr(text: *const c_char) -> c_ulong {
    // SAFETY: as the caller promises.
    c_ulong::from(cidr_mask(unsafe { c_bytes(text) }).map_or(0, u32::to_be))
}

/// Copies `from` to `to`, with `%m` replaced by the text of the present error.
///
/// # Safety
/// `from` is a C string; `to` has room for the result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn percent_m(to: *mut c_char, from: *const c_char) -> *mut c_char {
    let error = reason(&io::Error::last_os_error());
    guard(to, || {
        // SAFETY: as the caller promises.
        let text = unsafe { c_bytes(from) };
        let mut out = Vec::with_capacity(text.len() + error.len() + 1);
        let mut rest = text;
        while let Some(at) = rest.windows(2).position(|w| w == b"%m") {
            out.extend_from_slice(&rest[..at]);
            out.extend_from_slice(error.as_bytes());
            rest = &rest[at + 2..];
        }
        out.extend_from_slice(rest);
        out.push(0);
        // SAFETY: the caller promises room for the result.
        unsafe { std::ptr::copy_nonoverlapping(out.as_ptr().cast(), to, out.len()) };
        to
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_strings_are_cut_between_characters() {
        let mut text = [1; 8];
        put(&mut text, "abcdefgh".as_bytes());
        assert_eq!(bytes(&text), b"abcdefg");
        put(&mut text, "abcdefé".as_bytes());
        assert_eq!(bytes(&text), b"abcdef");
        put(&mut text, b"abcdef\xff\xff");
        assert_eq!(bytes(&text), b"abcdef\xff");
        put(&mut text, b"");
        assert_eq!(text, [0; 8]);
    }
}
