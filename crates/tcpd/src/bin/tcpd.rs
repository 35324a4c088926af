//! tcpd(8): decides whether the client may talk to the service inetd started, then becomes the service.

#![forbid(unsafe_code)]
#![no_main]

system::program!(tcpd::tcpd::main);
