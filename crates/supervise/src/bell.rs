//! By which the guard's other threads have its main thread look at what they have done.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use crate::call::owned;

/// Readable after it was rung, until somebody has looked.
#[derive(Debug, Clone)]
pub(crate) struct Bell(Arc<File>);

impl Bell {
    /// # Errors
    /// There is no descriptor to be had.
    pub(crate) fn new() -> io::Result<Self> {
        let flags = libc::EFD_CLOEXEC | libc::EFD_NONBLOCK;
        // SAFETY: takes numbers only; the descriptor is new.
        let bell = unsafe { owned(libc::eventfd(0, flags).into()) }?;
        Ok(Bell(Arc::new(File::from(bell))))
    }

    pub(crate) fn ring(&self) {
        // It can only be full of rings that nobody has heard.
        let _ = (&*self.0).write(&1u64.to_ne_bytes());
    }

    /// To be called before looking, so that what is done meanwhile rings again.
    pub(crate) fn heard(&self) {
        let _ = (&*self.0).read(&mut [0; 8]);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
