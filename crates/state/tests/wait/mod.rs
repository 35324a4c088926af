//! Waits for those who stay to notice what has changed.

/// Waits until something is so.
///
/// # Panics
/// Where it never is.
pub fn wait(mut ready: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if ready() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("waited in vain");
}
