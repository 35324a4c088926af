//! The entry of a small program that another one started and that becomes another one.
//!
//! Before `main`, Rust's own entry has `SIGPIPE` ignored, which whatever the program execs would inherit, and
//! prepares for threads that such a program never has. [`program!`](crate::program!) leaves all that as the
//! parent set it.

use std::env;
use std::os::unix::ffi::OsStringExt;

/// The arguments of this program, its name first.
pub fn arguments() -> Vec<Vec<u8>> {
    env::args_os().map(OsStringExt::into_vec).collect()
}

/// Defines a program's entry, in a binary that says `#![no_main]`: it calls a function with the program's
/// [`arguments`](crate::program::arguments), and exits with the number returned.
#[macro_export]
macro_rules! program {
    ($main:path) => {
        // SAFETY: this is the one `main` of a program without another; C calls it so.
        #[unsafe(no_mangle)]
        extern "C" fn main() -> ::core::ffi::c_int {
            $main($crate::program::arguments())
        }
    };
}
