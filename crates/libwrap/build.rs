//! Builds the C part: variadic functions, the jump, and the exported data.

fn main() {
    println!("cargo:rerun-if-changed=src/door.c");
    println!("cargo:rerun-if-changed=include/tcpd.h");
    cc::Build::new()
        .file("src/door.c")
        .include("include")
        // Calls to exported functions must go through the dynamic symbol table, where programs put theirs.
        .flag("-fPIC")
        .flag_if_supported("-fsemantic-interposition")
        .flag("-ffunction-sections")
        .flag("-fno-plt")
        .flag("-Wall")
        .flag("-Wextra")
        // As Debian builds: log lines go out through the checked functions where the C library has them.
        .define("_FORTIFY_SOURCE", "2")
        .define("TCPWRAP_VERSION", concat!("\"", env!("CARGO_PKG_VERSION"), "\""))
        .opt_level(2)
        .compile("door");
}
