//! The edge between Rust and C: nothing unwinds across it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use std::sync::Once;

use crate::log;

/// Runs the body of an exported function. A panic is logged, and `on_panic` is returned: for whatever
/// decides, a denial.
pub fn guard<R>(on_panic: R, body: impl FnOnce() -> R) -> R {
    static QUIET: Once = Once::new();
    // The usual message goes to standard error, which may be the connection.
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result,
        Err(_) => {
            let _ = catch_unwind(|| log::warn(b"internal error, access is denied"));
            on_panic
        }
    }
}
