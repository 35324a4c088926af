//! The options by which every subcommand is told where the tables are.

use std::path::PathBuf;

use hosts_access::{ALLOW_TABLE, DENY_TABLE, Tables};

/// Which tables to read: `/etc/hosts.allow` and `/etc/hosts.deny` unless told otherwise.
#[derive(Debug, clap::Args)]
pub struct Rules {
    /// Read hosts.allow and hosts.deny in this directory
    #[arg(long, value_name = "DIR", conflicts_with_all = ["allow", "deny"])]
    rules: Option<PathBuf>,
    /// Read this file as the allow table
    #[arg(long, value_name = "FILE")]
    allow: Option<PathBuf>,
    /// Read this file as the deny table
    #[arg(long, value_name = "FILE")]
    deny: Option<PathBuf>,
}

impl Rules {
    /// The tables asked for.
    pub fn tables(&self) -> Tables {
        match &self.rules {
            Some(directory) => Tables::in_directory(directory),
            None => Tables::new(
                self.allow.clone().unwrap_or_else(|| ALLOW_TABLE.into()),
                self.deny.clone().unwrap_or_else(|| DENY_TABLE.into()),
            ),
        }
    }

    /// The tables asked for, where what was named is there: a misspelt path must not pass for an empty table.
    ///
    /// # Errors
    /// A message, where the directory or a file that was named does not exist.
    pub fn existing_tables(&self) -> Result<Tables, String> {
        if let Some(directory) = &self.rules
            && !directory.is_dir()
        {
            return Err(format!("{}: no such directory", directory.display()));
        }
        for file in [&self.allow, &self.deny].into_iter().flatten() {
            if let Ok(false) = file.try_exists() {
                return Err(format!("{}: no such file", file.display()));
            }
        }
        Ok(self.tables())
    }

    /// Were they named, rather than left to be the usual ones?
    pub fn are_named(&self) -> bool {
        self.rules.is_some() || self.allow.is_some() || self.deny.is_some()
    }
}
