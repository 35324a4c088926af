//! This host, as the engine asks for it.

pub mod names;
pub mod netdb;
pub mod privileges;
pub mod services;
