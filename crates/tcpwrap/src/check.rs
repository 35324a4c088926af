//! `tcpwrap check`: what the tables say that they cannot have been meant to say.

mod beside;
mod host;
pub mod input;
mod machine;
pub mod render;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use analysis::check::{self as lints, Finding, Fix, Options, code};
use analysis::compare::compare;
use analysis::document::Document;
use annotate_snippets::Renderer;
use hosts_access::TableKind;

use crate::install::Original;
use crate::output::{self, BAD, Envelope, GOOD};
use crate::pair::{self, Change};
use crate::rules::{self, Rules};
use beside::Beside;
use input::Policy;

/// Check rule files for mistakes
///
/// Nothing but the files is looked at, unless --host asks for it. Without a file, those in /etc are checked.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "EXIT STATUS:\n  0  nothing was found, or --dry-run has shown what there is\n  \
    1  something was found at or above the level\n  2  a file could not be read"
)]
pub struct Args {
    #[command(flatten)]
    rules: Rules,
    /// Files to check, directories with hosts.allow and hosts.deny, or - for standard input
    #[arg(value_name = "FILE", conflicts_with_all = ["rules", "allow", "deny"])]
    files: Vec<PathBuf>,
    /// Which table the files are, where their names do not tell
    #[arg(long, value_name = "TABLE", requires = "files")]
    table: Option<Table>,
    /// Report from this level on
    #[arg(long, value_enum, default_value_t = Level::Warning)]
    level: Level,
    /// How to write the findings
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Mend what can safely be mended, and report the rest; the previous version is kept, with a ~ behind its name
    #[arg(long)]
    fix: bool,
    /// Show what --fix would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Report what depends on this machine too: programs, files, users, names, and who is logged in
    #[arg(long)]
    host: bool,
    /// Report rules that grant access without the word `allow`
    #[arg(long)]
    explicit_allow: bool,
    /// Report what a classic libwrap does not know, and what it makes of it
    #[arg(long)]
    portable: bool,
    /// Explain a code or its name, such as W201 or bare-ipv6, and do nothing else
    #[arg(long, value_name = "CODE", exclusive = true)]
    explain: Option<String>,
}

/// One of the tables, on the command line.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Table {
    /// hosts.allow
    Allow,
    /// hosts.deny
    Deny,
}

/// The least level reported, on the command line.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Level {
    /// Everything
    Info,
    /// What is very likely wrong
    Warning,
    /// What cannot do what it says
    Error,
}

/// How findings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON document
    Json,
    /// SARIF 2.1.0, for code scanners
    Sarif,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> ExitCode {
    if let Some(id) = &args.explain {
        return explain(id);
    }
    match check(args) {
        Ok(code) => code,
        Err(message) => output::fail(&message),
    }
}

fn check(args: &Args) -> Result<ExitCode, String> {
    let busy = output::busy("checking");
    let mut policies = if args.files.is_empty() {
        vec![input::both(
            &args.rules.existing_tables()?,
            args.rules.are_named(),
        )?]
    } else {
        let kind = args.table.map(|table| match table {
            Table::Allow => TableKind::Allow,
            Table::Deny => TableKind::Deny,
        });
        input::files(&args.files, kind)?
    };
    if args.fix || args.dry_run {
        for policy in &mut policies {
            fix(policy, args)?;
        }
        if args.dry_run {
            return Ok(ExitCode::SUCCESS);
        }
    }
    let least = args.level.level();
    let mut left_out = 0;
    let checked: Vec<(Policy, Vec<Finding>)> = policies
        .into_iter()
        .map(|policy| {
            let mut found = find_all(&policy, args);
            let all = found.len();
            found.retain(|finding| finding.level >= least);
            left_out += all - found.len();
            (policy, found)
        })
        .collect();
    drop(busy);
    match write(args, &checked, left_out) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Err(error) => return Err(format!("standard output: {error}")),
        Ok(()) => {}
    }
    let is_usual = args.files.is_empty() && !args.rules.are_named();
    let is_clean =
        checked.iter().all(|(_, found)| found.is_empty()) && !(is_usual && has_bad_configuration());
    Ok(ExitCode::from(u8::from(!is_clean)))
}

/// Says what is wrong with tcpwrap.toml, by which what rules ask for is not known.
fn has_bad_configuration() -> bool {
    let path = std::path::Path::new(state::config::PATH);
    let config = state::config::Config::read(path);
    for mistake in &config.mistakes {
        let state::config::Mistake { line, column, text } = mistake;
        let text = output::escape(text.as_bytes());
        anstream::eprintln!("{BAD}error:{BAD:#} {}:{line}:{column}: {text}", path.display());
    }
    if config.mistakes.is_empty()
        && let Err(unknown) = &config.bans
    {
        anstream::eprintln!(
            "{BAD}error:{BAD:#} {}",
            output::escape(unknown.to_string().as_bytes())
        );
    }
    config.bans.is_err() || !config.mistakes.is_empty()
}

/// What the lints find, from warnings on.
pub fn findings(policy: &Policy) -> Vec<Finding> {
    let mut found = lints::check(policy.tables());
    found.retain(|finding| finding.level >= lints::Level::Warning);
    found
}

fn find(policy: &Policy, args: &Args, beside: &Beside) -> Vec<Finding> {
    let options = Options {
        implicit_allow: args.explicit_allow,
        portable: args.portable,
        today: i64::try_from(state::stamp::now() / 86_400).ok(),
        files: beside.texts(),
    };
    lints::check_with(policy.tables(), options)
}

/// What depends on the machine comes where it belongs among the rest.
fn find_all(policy: &Policy, args: &Args) -> Vec<Finding> {
    let beside = Beside::new(policy);
    let mut found = find(policy, args, &beside);
    let others = beside.findings();
    let is_other = !others.is_empty() || args.host;
    found.extend(others);
    if args.host {
        found.extend(host::check(policy));
    }
    if is_other {
        let key = |f: &Finding| {
            (
                f.other_file.clone(),
                f.table == TableKind::Deny,
                f.span.bytes.start,
                f.code.id,
            )
        };
        found.sort_by_key(key);
        // What is found beside the tables, the machine has too.
        found.dedup_by(|a, b| a.code == b.code && a.message == b.message && key(a) == key(b));
    }
    found
}

fn write(args: &Args, checked: &[(Policy, Vec<Finding>)], left_out: usize) -> io::Result<()> {
    let mut out = io::BufWriter::with_capacity(1 << 16, anstream::stdout().lock());
    let format = if args.json { Format::Json } else { args.format };
    match format {
        Format::Text if output::is_quiet() => {}
        Format::Text => {
            let renderer = Renderer::styled();
            for (policy, found) in checked {
                render::write(&mut out, policy, found, &renderer)?;
            }
            summary(&mut out, checked, left_out)?;
        }
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, &Envelope::new("check", machine::json(checked)))?;
            writeln!(out)?;
        }
        Format::Sarif => {
            serde_json::to_writer_pretty(&mut out, &machine::sarif(checked))?;
            writeln!(out)?;
        }
    }
    out.flush()
}

/// One line at the end. `left_out` are below the level asked for.
fn summary(out: &mut dyn Write, checked: &[(Policy, Vec<Finding>)], left_out: usize) -> io::Result<()> {
    let all = || checked.iter().flat_map(|(_, found)| found);
    let count = |level| all().filter(|f| f.level == level).count();
    let parts: Vec<String> = [
        (count(lints::Level::Error), "error"),
        (count(lints::Level::Warning), "warning"),
        (count(lints::Level::Info), "note"),
    ]
    .iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}{}", if *count == 1 { "" } else { "s" }))
    .collect();
    if parts.is_empty() {
        let documents = checked
            .iter()
            .flat_map(|(policy, _)| [&policy.allow, &policy.deny]);
        let rules: usize = documents.flatten().map(rules::count).sum();
        let rules = format!("{rules} rule{}", if rules == 1 { "" } else { "s" });
        let rest = match left_out {
            0 => String::new(),
            1 => "; 1 remark with --level info".to_owned(),
            count => format!("; {count} remarks with --level info"),
        };
        return writeln!(out, "{GOOD}ok:{GOOD:#} {rules}, no findings{rest}");
    }
    let fixes = all()
        .filter(|f| f.fix.as_ref().is_some_and(|fix| fix.is_safe))
        .count();
    let fixable = match fixes {
        0 => String::new(),
        fixes => format!("; --fix mends {fixes} of them"),
    };
    writeln!(out, "{}{fixable}; --explain CODE says more", parts.join(", "))
}

/// Makes the safe fixes, in the file and in `policy`. Fixes may uncover others, so it goes on until none is
/// left.
fn fix(policy: &mut Policy, args: &Args) -> Result<(), String> {
    const MOST_ROUNDS: usize = 10;
    let read = |table: TableKind| -> Result<Option<Original>, String> {
        match policy.table(table) {
            Some(document) if *document.path == *std::path::Path::new("<stdin>") => {
                Err("cannot fix standard input".into())
            }
            Some(document) => Original::read(&document.path)
                .map(Some)
                .map_err(|error| output::at(&document.path, &error)),
            None => Ok(None),
        }
    };
    let originals = [
        (TableKind::Allow, read(TableKind::Allow)?),
        (TableKind::Deny, read(TableKind::Deny)?),
    ];
    for (table, original) in &originals {
        // What is checked is what will be replaced.
        if let (Some(original), Some(document)) = (original, policy.table(*table))
            && original.text != document.text
        {
            return Err(format!("{}: it keeps changing", document.path.display()));
        }
    }
    let before = Policy {
        allow: policy.allow.clone(),
        deny: policy.deny.clone(),
    };
    let beside = Beside::new(policy);
    let mut made = 0;
    for _ in 0..MOST_ROUNDS {
        let found = find(policy, args, &beside);
        let mut this_round = 0;
        for (table, _) in &originals {
            let Some(document) = policy.table(*table) else {
                continue;
            };
            let fixes = found
                .iter()
                .filter(|f| f.table == *table && f.other_file.is_none())
                .filter_map(|f| f.fix.as_ref())
                .filter(|fix: &&Fix| fix.is_safe);
            let (text, count) = lints::apply(&document.text, fixes);
            if count > 0 {
                let path = document.path.to_path_buf();
                policy.replace(*table, Document::new(path, text));
            }
            this_round += count;
        }
        made += this_round;
        if this_round == 0 {
            break;
        }
    }
    let changed: Vec<(&Original, &Document)> = originals
        .iter()
        .filter_map(|(table, original)| Some((original.as_ref()?, policy.table(*table)?)))
        .filter(|(original, document)| original.text != document.text)
        .collect();
    let mut kept = Vec::new();
    if args.dry_run {
        for (original, document) in &changed {
            let changes = crate::text_diff::shown(&document.path, &original.text, &document.text);
            output::write(&changes)?;
        }
    } else {
        for (original, document) in &changed {
            let copy = original.keep_previous();
            kept.extend(copy.map_err(|error| output::at(&document.path, &error))?);
        }
        put_in_place(&changed)?;
    }
    if made > 0 {
        let verb = if args.dry_run { "would mend" } else { "mended" };
        let plural = if made == 1 { "" } else { "s" };
        output::note(&format!("{verb} {made} finding{plural}\n"));
        // A rule that does what it says lets in, or keeps out, whom it did not before.
        match compare(before.tables(), policy.tables()) {
            Ok(found) => output::note(&crate::diff::text::render(&found)),
            Err(problem) => output::note(&format!("what that changes cannot be told: {problem}\n")),
        }
    }
    for kept in kept {
        output::note(&format!("the previous version is {}\n", kept.display()));
    }
    Ok(())
}

/// Puts new texts in place, of two tables in an order that lets in nobody else between.
fn put_in_place(changed: &[(&Original, &Document)]) -> Result<(), String> {
    if let [(allow, new_allow), (deny, new_deny)] = changed {
        let [allow, deny] = [(allow, new_allow), (deny, new_deny)].map(|(original, new)| Change {
            original,
            text: &new.text,
        });
        return pair::replace(&allow, &deny).map(|_| ());
    }
    for (original, document) in changed {
        let replaced = original.replace(&document.text);
        replaced.map_err(|error| output::at(&document.path, &error))?;
    }
    Ok(())
}

fn explain(id: &str) -> ExitCode {
    let Some(code) = code::find(id) else {
        return output::fail(&format!(
            "there is no code {id}; findings show theirs in brackets, as [W201]"
        ));
    };
    match output::write(&explanation(code)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => output::fail(&problem),
    }
}

/// What is known of a code, as text.
fn explanation(code: &lints::Code) -> String {
    let mut text = format!("{} {} ({})\n\n", code.id, code.name, code.level);
    text.push_str(&wrapped(code.meaning));
    text.push_str("\n\nNot so:\n\n");
    example(&mut text, code.bad);
    text.push_str("\nBut so:\n\n");
    example(&mut text, code.good);
    text.push('\n');
    text.push_str(&wrapped(code.remedy));
    text.push('\n');
    if code.needs_host {
        text.push_str("\nReported only with --host, as it depends on the machine.\n");
    }
    text
}

fn example(text: &mut String, example: lints::Example) {
    for (name, table) in [("hosts.allow", example.allow), ("hosts.deny", example.deny)] {
        for line in table.lines() {
            let line: String = line.chars().take(100).collect();
            text.push_str(&format!("    {name}: {}\n", spelled(&line)));
        }
    }
}

/// What is not seen, by its number.
fn spelled(line: &str) -> String {
    let spell = |c: char| match c {
        '\0' => "\\0".to_owned(),
        c if c.is_ascii() => c.to_string(),
        c => c.escape_unicode().to_string(),
    };
    line.chars().map(spell).collect()
}

fn wrapped(text: &str) -> String {
    const WIDTH: usize = 78;
    let mut out = String::new();
    let mut width = 0;
    for word in text.split_whitespace() {
        if width + word.len() > WIDTH && width > 0 {
            out.push('\n');
            width = 0;
        } else if width > 0 {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += word.chars().count();
    }
    out
}

impl Level {
    fn level(self) -> lints::Level {
        match self {
            Level::Info => lints::Level::Info,
            Level::Warning => lints::Level::Warning,
            Level::Error => lints::Level::Error,
        }
    }
}
