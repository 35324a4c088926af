//! try-from(8)

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    tcpd::try_from::main()
}
