//! The lines in which two texts differ, in the unified form.

use std::path::Path;

use similar::TextDiff;

use crate::output::utf8;

/// The difference as `diff -u` writes it; empty where there is none.
pub fn unified(path: &Path, old: &[u8], new: &[u8]) -> String {
    let (old, new) = (utf8(old), utf8(new));
    let name = path.display().to_string();
    TextDiff::from_lines(&old, &new)
        .unified_diff()
        .header(&format!("{name} (as it is)"), &format!("{name} (as it will be)"))
        .to_string()
}
