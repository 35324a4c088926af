//! `docs/behaviour.md` names tests, and there are such tests.

#![forbid(unsafe_code)]

use std::fs;
use std::path::Path;

#[test]
fn every_test_that_the_page_names_exists() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(here.join("../../docs/behaviour.md")).expect("the page");
    let source = |file: String| fs::read_to_string(here.join("tests").join(file)).unwrap_or_default();
    let mut named = 0;
    for quoted in page.split('`').skip(1).step_by(2) {
        let (source, name) = match quoted.split_once("::") {
            Some((module, name)) if name.contains('_') => (source(format!("semantics/{module}.rs")), name),
            _ if quoted.starts_with("deviation_") => (source("deviations.rs".to_owned()), quoted),
            _ => continue,
        };
        assert!(source.contains(&format!("fn {name}()")), "{quoted}");
        named += 1;
    }
    assert!(named > 50, "{named} tests are named");
}
