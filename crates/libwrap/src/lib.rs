//! libwrap.so.0 and libwrap.a: the C interface of TCP Wrappers (hosts_access(3)) on the engine.
//!
//! Translation only. What rules mean is in `hosts-access`, what this host can tell and do in `system`; here
//! C's structures become requests and back. `door.c` holds what only C can be: variadic functions and the
//! jump out of `process_options`; no Rust frame is ever jumped over by the library itself.
//!
//! # Safety
//! The exported functions trust what C functions trust: pointers to valid structures, strings that end in
//! NUL. A panic never crosses into C: it is a denial and a log line (`entry`).

mod access;
mod entry;
mod eval;
mod host;
mod log;
mod options;
mod request;
mod socket;
mod strings;
mod structs;
