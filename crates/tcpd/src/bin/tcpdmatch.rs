//! tcpdmatch(8)

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    tcpd::tcpdmatch::main()
}
