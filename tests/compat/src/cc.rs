//! Building the programs of this suite.

use std::path::Path;
use std::process::Command;

/// Builds a C program of the suite that runs on libwrap, whichever that is.
///
/// # Panics
/// Where it cannot be built: this needs a C compiler and `libwrap0-dev`.
pub fn build(source: &Path, program: &Path) {
    let mut cc = Command::new("cc");
    // Some distributions have the compiler look for mistakes that these programs make on purpose.
    cc.args(["-DINET6", "-O1", "-U_FORTIFY_SOURCE", "-Wall", "-Werror", "-o"])
        .arg(program)
        .arg(source)
        .arg("-lwrap");
    if is_symbolic() {
        cc.arg("-DSYMBOLIC");
    }
    let built = cc.status();
    assert!(
        built.is_ok_and(|status| status.success()),
        "cc cannot build {}: is libwrap0-dev there?",
        source.display()
    );
}

/// Does the system's libwrap call its own functions where a program has some of the same names? See `replace.h`.
fn is_symbolic() -> bool {
    let said = |command: &mut Command| {
        let output = command.output().expect("cc and readelf run");
        assert!(output.status.success(), "{command:?}: {}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let library = said(Command::new("cc").arg("-print-file-name=libwrap.so"));
    let relocations = said(Command::new("readelf").args(["--relocs", "--wide", library.trim()]));
    !relocations.split_whitespace().any(|word| word == "rfc931")
}
