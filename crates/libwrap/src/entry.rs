//! The edge between Rust and C: nothing unwinds across it.

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

use std::sync::Once;

use crate::log;

/// Runs the body of an exported function. A panic is logged, and `on_panic` is returned: for whatever
/// decides, a denial. The thread is not cancelled meanwhile: that would unwind through here.
pub fn guard<R>(on_panic: R, body: impl FnOnce() -> R) -> R {
    static QUIET: Once = Once::new();
    // The usual message goes to standard error, which may be the connection.
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    let mut before = 0;
    // SAFETY: a number, and room for one.
    unsafe { pthread_setcancelstate(CANCEL_DISABLE, &mut before) };
    let result = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result,
        Err(_) => {
            let _ = catch_unwind(|| log::warn(b"internal error, access is denied"));
            on_panic
        }
    };
    // SAFETY: as above.
    unsafe { pthread_setcancelstate(before, &mut before) };
    result
}

/// `PTHREAD_CANCEL_DISABLE`
const CANCEL_DISABLE: c_int = 1;

unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
}
