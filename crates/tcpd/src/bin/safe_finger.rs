//! safe_finger(8)

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    tcpd::safe_finger::main()
}
