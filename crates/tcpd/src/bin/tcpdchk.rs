//! tcpdchk(8)

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    tcpd::tcpdchk::main()
}
