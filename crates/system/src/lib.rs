//! This host, as the engine asks for it.

pub mod commands;
pub mod connection;
pub mod endpoints;
pub mod facts;
pub mod given;
pub mod host;
pub mod ident;
pub mod lookups;
pub mod names;
pub mod netdb;
mod poll;
pub mod privileges;
pub mod program;
pub mod services;
pub mod sockaddr;
pub mod syslog;
