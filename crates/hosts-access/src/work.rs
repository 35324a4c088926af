//! Counts what a decision does, in tests; elsewhere nothing. Time is no measure for a test.

/// So many lines, patterns or positions were looked at.
#[inline(always)]
pub(crate) fn add(_steps: u32) {
    #[cfg(test)]
    counter::STEPS.with(|steps| steps.set(steps.get() + u64::from(_steps)));
}

#[cfg(test)]
pub(crate) mod counter {
    use std::cell::Cell;

    thread_local! {
        pub(super) static STEPS: Cell<u64> = const { Cell::new(0) };
    }

    /// How many steps `work` takes.
    pub(crate) fn steps(work: impl FnOnce()) -> u64 {
        let before = STEPS.get();
        work();
        STEPS.get() - before
    }
}
