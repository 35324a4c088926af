//! What this process is and may do: the `user`, `group`, `nice` and `umask` options (hosts_options(5)), and
//! programs that give up root.
//!
//! Who becomes somebody else does so for good: all ids change, real, effective and saved, and are checked
//! afterwards. On an error some may have changed already: the caller must not go on.

use std::ffi::CString;
use std::io;

use crate::netdb;

/// Becomes a user with his supplementary groups and `group`, or his own group where none is given.
///
/// # Errors
/// What to log: `unknown user: "X"`, `unknown group: "X"`, or which call failed and why.
pub fn become_user(user: &[u8], group: Option<&[u8]>) -> Result<(), Vec<u8>> {
    let entry = netdb::user(user).ok_or_else(|| unknown("user", user))?;
    let gid = match group {
        Some(group) => netdb::group(group).ok_or_else(|| unknown("group", group))?,
        None => entry.gid,
    };
    let name = CString::new(user).map_err(|_| unknown("user", user))?;
    if is_root() {
        // SAFETY: a C string and a number; the call takes nothing else.
        let status = unsafe { libc::initgroups(name.as_ptr(), gid) };
        check(status, "initgroups", user)?;
    }
    set_gid(gid, group.unwrap_or(user))?;
    // SAFETY: takes numbers only.
    let status = unsafe { libc::setresuid(entry.uid, entry.uid, entry.uid) };
    check(status, "setuid", user)?;
    // SAFETY: takes nothing.
    let ids = unsafe { (libc::getuid(), libc::geteuid()) };
    if ids != (entry.uid, entry.uid) {
        return Err([b"setuid(", user, b"): did not take effect"].concat());
    }
    Ok(())
}

/// Becomes a group. As root, the supplementary groups are given up.
///
/// # Errors
/// As [`become_user`].
pub fn become_group(group: &[u8]) -> Result<(), Vec<u8>> {
    let gid = netdb::group(group).ok_or_else(|| unknown("group", group))?;
    if is_root() {
        // SAFETY: a list of one group id, with its length.
        check(unsafe { libc::setgroups(1, &gid) }, "setgroups", group)?;
    }
    set_gid(gid, group)
}

fn set_gid(gid: libc::gid_t, name: &[u8]) -> Result<(), Vec<u8>> {
    // SAFETY: takes numbers only.
    check(unsafe { libc::setresgid(gid, gid, gid) }, "setgid", name)?;
    // SAFETY: takes nothing.
    let ids = unsafe { (libc::getgid(), libc::getegid()) };
    if ids != (gid, gid) {
        return Err([b"setgid(", name, b"): did not take effect"].concat());
    }
    Ok(())
}

/// Adds to this process's nice value.
///
/// # Errors
/// As `nice` says.
pub fn nice(by: i32) -> io::Result<()> {
    // SAFETY: errno is this thread's own; the call takes a number only.
    let status = unsafe {
        *libc::__errno_location() = 0;
        libc::nice(by)
    };
    // -1 may be the new value.
    match io::Error::last_os_error() {
        error if status == -1 && error.raw_os_error() != Some(0) => Err(error),
        _ => Ok(()),
    }
}

/// Sets this process's umask.
pub fn umask(mask: u32) {
    // SAFETY: takes a number and cannot fail.
    unsafe { libc::umask(mask as libc::mode_t) };
}

/// Is this process root, by effective user id?
pub fn is_root() -> bool {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

fn unknown(what: &str, name: &[u8]) -> Vec<u8> {
    [b"unknown ", what.as_bytes(), b": \"", name, b"\""].concat()
}

fn check(status: libc::c_int, call: &str, name: &[u8]) -> Result<(), Vec<u8>> {
    if status == 0 {
        return Ok(());
    }
    let reason = hosts_access::decide::reason(&io::Error::last_os_error());
    Err([call.as_bytes(), b"(", name, b"): ", reason.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_there_cannot_be_become() {
        assert_eq!(
            become_user(b"nosuch", None),
            Err(b"unknown user: \"nosuch\"".to_vec())
        );
        assert_eq!(
            become_user(b"root", Some(b"nosuch")),
            Err(b"unknown group: \"nosuch\"".to_vec())
        );
        assert_eq!(
            become_group(b"nosuch"),
            Err(b"unknown group: \"nosuch\"".to_vec())
        );
    }
}
