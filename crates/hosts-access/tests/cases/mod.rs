//! How many cases the generated tests try: fewer where `PROPTEST_CASES` says so, as in an audit.

use proptest::test_runner::Config;

/// So many, unless something else is asked for.
pub fn cases(usually: u32) -> Config {
    let asked_for = std::env::var_os("PROPTEST_CASES").is_some();
    let config = Config::default();
    Config {
        cases: if asked_for { config.cases } else { usually },
        ..config
    }
}
