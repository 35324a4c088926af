//! What the options of a matching rule ask to be done (hosts_options(5)), as data.
//!
//! Values are already % expanded. Carrying an effect out is the [`Host`](crate::Host)'s work.

use crate::syntax::option::Keyword;

/// One thing to do to the connection, to this process, or by a shell command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Run by `/bin/sh -c` with stdio on `/dev/null`, and wait; the status does not matter.
    Spawn(Vec<u8>),
    /// As [`Effect::Spawn`], but the command decides: answer [`Outcome::Done`] when it exits 0,
    /// [`Outcome::Failed`] when it does not, or could not be run.
    Aclexec(Vec<u8>),
    /// Replace this process by `/bin/sh -c command` with the connection as its stdio.
    Twist(Vec<u8>),
    /// Send this text to the client. `directory` is the option's value, for messages.
    Banner {
        /// The directory the option names.
        directory: Vec<u8>,
        /// The expanded text, line ends CR LF.
        text: Vec<u8>,
    },
    /// Set `SO_KEEPALIVE` on the connection.
    Keepalive,
    /// Set `SO_LINGER`, in seconds.
    Linger(u32),
    /// Add to the process's nice value.
    Nice(i32),
    /// Set the process's umask.
    Umask(u32),
    /// Set an environment variable.
    Setenv {
        /// The variable's name.
        name: Vec<u8>,
        /// Its value, perhaps empty.
        value: Vec<u8>,
    },
    /// Become a user and, where named, a group: answer [`Outcome::Refused`] with the message
    /// (`unknown user: "X"`) where that cannot be done.
    User {
        /// The user's name.
        user: Vec<u8>,
        /// The group's name; the user's own group where absent.
        group: Option<Vec<u8>>,
    },
    /// Become a group.
    Group(Vec<u8>),
    /// Wait this many seconds for an ident reply from now on (the `rfc931` option).
    IdentTimeout(u32),
    /// Put the client on the ban list for so many seconds, if it is certain who it is.
    Ban(u64),
}

impl Effect {
    /// The option that asks for it.
    pub fn option(&self) -> Keyword {
        match self {
            Effect::Spawn(_) => Keyword::Spawn,
            Effect::Aclexec(_) => Keyword::Aclexec,
            Effect::Twist(_) => Keyword::Twist,
            Effect::Banner { .. } => Keyword::Banners,
            Effect::Keepalive => Keyword::Keepalive,
            Effect::Linger(_) => Keyword::Linger,
            Effect::Nice(_) => Keyword::Nice,
            Effect::Umask(_) => Keyword::Umask,
            Effect::Setenv { .. } => Keyword::Setenv,
            Effect::User { .. } => Keyword::User,
            Effect::Group(_) => Keyword::Group,
            Effect::IdentTimeout(_) => Keyword::Rfc931,
            Effect::Ban(_) => Keyword::Ban,
        }
    }

    /// The value, as a rule would write it.
    ///
    /// ```
    /// use hosts_access::Effect;
    /// let effect = Effect::User { user: b"nobody".to_vec(), group: Some(b"mail".to_vec()) };
    /// assert_eq!((effect.option().as_str(), &effect.value()[..]), ("user", &b"nobody.mail"[..]));
    /// ```
    pub fn value(&self) -> Vec<u8> {
        match self {
            Effect::Spawn(text) | Effect::Aclexec(text) | Effect::Twist(text) | Effect::Group(text) => {
                text.clone()
            }
            Effect::Banner { directory, .. } => directory.clone(),
            Effect::Keepalive => Vec::new(),
            Effect::Linger(number) | Effect::IdentTimeout(number) => number.to_string().into(),
            Effect::Nice(number) => number.to_string().into(),
            Effect::Ban(seconds) => format!("{seconds}s").into(),
            Effect::Umask(mask) => format!("{mask:03o}").into(),
            Effect::Setenv { name, value } => [name, &b" "[..], value].concat(),
            Effect::User { user, group: None } => user.clone(),
            Effect::User {
                user,
                group: Some(group),
            } => [user, &b"."[..], group].concat(),
        }
    }
}

/// What became of an effect.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// Done, or done as well as it can be: the decision goes on. After [`Effect::Twist`] it means
    /// that the command has the connection, and the decision ends as [`Verdict::Delegated`](crate::Verdict).
    Done,
    /// An [`Effect::Aclexec`] command failed.
    Failed,
    /// Not possible; the text is logged as an error and access is denied.
    Refused(Vec<u8>),
    /// Not carried out, as in a dry run, and the verdict is up to the command.
    Delegated,
}

#[cfg(test)]
mod tests {
    use crate::dry::DryHost;
    use crate::{Request, Severity, Tables};

    #[test]
    fn effects_are_shown_as_rules_write_them() {
        let written = [
            "spawn echo %p %d %a %A %h %H %c %s %r %R %u %n %N %% %",
            "keepalive",
            "linger 5",
            "nice -3",
            "umask 027",
            "setenv NAME a value",
            "rfc931 7",
            "group mail",
            "user nobody.mail",
            "aclexec test",
            "user nobody",
            "banners /etc/banners",
            "severity mail.notice",
            "twist cat",
        ];
        let directory = tempfile::tempdir().unwrap();
        let rule = format!("sshd: ALL: {}\n", written.join(": "));
        std::fs::write(directory.path().join("hosts.allow"), rule).unwrap();
        let mut request = Request::new("sshd").process("4711");
        let mut host = DryHost::new("192.0.2.1")
            .named("gate.example.org")
            .with_user("joe")
            .with_server("192.0.2.99", "server.example.org", Some(22))
            .with_client_port(1042)
            .commands_succeed(true);
        let decision = Tables::in_directory(directory.path()).decide(&mut request, &mut host);
        assert_eq!(decision.severity, Some(Severity(2 << 3 | 5)));
        let shown = decision.effects.iter().map(|effect| {
            let value = String::from_utf8(effect.value()).unwrap();
            format!("{} {value}", effect.option().as_str())
                .trim_end()
                .to_owned()
        });
        let mut expected = written.map(str::to_owned).to_vec();
        expected[0] = "spawn echo 4711 sshd 192.0.2.1 192.0.2.99 192.0.2.1 192.0.2.99 192.0.2.1 sshd@192.0.2.99 1042 22 \
                       joe gate.example.org server.example.org % %"
            .to_owned();
        expected.retain(|option| !option.starts_with("severity"));
        assert_eq!(shown.collect::<Vec<_>>(), expected);
    }
}
