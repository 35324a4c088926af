//! Limits over processes: what eight of them are granted together, whatever becomes of some.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use state::limits::{Memory, Rate, Taken};

/// The directory of the memory, for the process this test program starts.
const DIRECTORY: &str = "TCPWRAP_TEST_LIMITS";

const SOURCES: u8 = 10;
const GRANTED: u32 = 2_000;

/// One connection in six hours comes back to a source, so that none does while the test runs.
fn rate() -> Rate {
    Rate::new(GRANTED, Duration::from_secs(6 * 3600) * GRANTED)
}

fn client(n: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, n])
}

/// Not a test: what the processes do that the tests start. Each writes the number of a source for every connection it
/// is granted, after it has been granted.
#[test]
fn hammer() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let memory = Memory::open(Path::new(&directory), 4096).unwrap();
    let mut out = std::io::stdout().lock();
    out.write_all(b"ready\n").unwrap();
    out.flush().unwrap();
    std::io::stdin().read_exact(&mut [0]).unwrap();
    let mut over = 0;
    while over < SOURCES {
        over = 0;
        for n in 0..SOURCES {
            match memory.take(b"rule", &rate(), client(n)).unwrap() {
                Taken::Within { .. } => out.write_all(format!("granted {n}\n").as_bytes()).unwrap(),
                Taken::Over { .. } => over += 1,
            }
        }
    }
    out.flush().unwrap();
}

fn start(directory: &Path, wrapper: &[&str]) -> Child {
    let program = std::env::current_exe().unwrap();
    let mut command = match wrapper {
        [] => Command::new(&program),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(&program);
            command
        }
    };
    command
        .args(["hammer", "--exact", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Lets processes that wait for it begin at once, kills those whose numbers are named in their midst, and adds up what
/// was granted to each source.
fn grants(mut children: Vec<Child>, killed: &[usize]) -> BTreeMap<u8, u32> {
    let mut outputs: Vec<_> = children
        .iter_mut()
        .map(|child| {
            let mut output = BufReader::new(child.stdout.take().unwrap());
            let mut line = String::new();
            while !line.contains("ready") {
                line.clear();
                assert!(
                    output.read_line(&mut line).unwrap() > 0,
                    "it ended before it was ready"
                );
            }
            output
        })
        .collect();
    for child in &mut children {
        child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
    }
    for n in killed {
        // It is at work once it has said something.
        outputs[*n].fill_buf().unwrap();
        children[*n].kill().unwrap();
    }
    // All are read at once, so that none waits for the test.
    let readers: Vec<_> = outputs
        .into_iter()
        .map(|output| std::thread::spawn(|| output.lines().collect::<Result<Vec<_>, _>>().unwrap()))
        .collect();
    let mut all = BTreeMap::new();
    for line in readers.into_iter().flat_map(|reader| reader.join().unwrap()) {
        if let Some(source) = line.strip_prefix("granted ").and_then(|n| n.parse().ok()) {
            *all.entry(source).or_default() += 1;
        }
    }
    for child in &mut children {
        child.wait().unwrap();
    }
    all
}

#[test]
fn eight_processes_are_granted_exactly_the_limit_together() {
    let directory = tempfile::tempdir().unwrap();
    let children = (0..8).map(|_| start(directory.path(), &[])).collect();
    let all = grants(children, &[]);
    let expected: BTreeMap<u8, u32> = (0..SOURCES).map(|n| (n, GRANTED)).collect();
    assert_eq!(all, expected);
    // And nothing to those who come later, in other processes and this one.
    assert_eq!(grants(vec![start(directory.path(), &[])], &[]), BTreeMap::new());
    let memory = Memory::open(directory.path(), 64).unwrap();
    assert_eq!(memory.left(b"rule", &rate(), client(0)).left, 0);
    assert_eq!((memory.slots(), memory.overflow()), (4096, 0));
}

#[test]
fn processes_killed_in_the_midst_grant_nothing_twice() {
    let directory = tempfile::tempdir().unwrap();
    let children = (0..8).map(|_| start(directory.path(), &[])).collect();
    let mut all = grants(children, &[0, 3, 5]);
    for (n, granted) in &all {
        assert!(*granted <= GRANTED, "{n}: {granted}");
    }
    // What they had taken and not said is gone; the others got all the rest.
    all.extend(grants(vec![start(directory.path(), &[])], &[]));
    let memory = Memory::open(directory.path(), 64).unwrap();
    for n in 0..SOURCES {
        assert_eq!(memory.left(b"rule", &rate(), client(n)).left, 0);
    }
}

#[test]
fn network_namespaces_count_together() {
    let directory = tempfile::tempdir().unwrap();
    let unshare = ["unshare", "--net", "--"];
    let children = (0..4)
        .map(|n| start(directory.path(), if n % 2 == 0 { &unshare[..] } else { &[] }))
        .collect();
    let all = grants(children, &[]);
    assert!(
        all.len() == usize::from(SOURCES) && all.values().all(|granted| *granted == GRANTED),
        "{all:?}"
    );
}

#[test]
fn the_memory_is_its_users_own() {
    let directory = tempfile::tempdir().unwrap();
    let made = directory.path().join("tcpwrap");
    // Whatever the umask.
    let done = start(&made, &["sh", "-c", "umask 077; exec \"$0\" \"$@\""]);
    grants(vec![done], &[]);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let (limits, root) = (made.join("limits"), made.join("limits.root"));
    assert_eq!((mode(&made), mode(&limits)), (0o755, 0o1777));
    assert_eq!(mode(&root), 0o600);
    assert_eq!(
        std::fs::read_dir(&made).unwrap().count(),
        2,
        "nothing else is left"
    );
    // One that others may write, root replaces.
    std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o666)).unwrap();
    Memory::open(&made, 4096).unwrap();
    assert_eq!(mode(&root), 0o600);
}

#[test]
fn nobody_is_in_roots_way() {
    let directory = tempfile::tempdir().unwrap();
    Memory::open(directory.path(), 64).unwrap();
    std::fs::remove_file(directory.path().join("limits.root")).unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    // What another user can make in the directory of all: a directory, a link, a FIFO of each name he can foresee.
    let script = "cd \"$1/limits\" || exit 0\n\
        mkdir 0 0/full limits.root new; ln -s /etc/passwd root; mkfifo 1; \
        n=0; while [ $n -lt 40 ]; do mkdir new.$(($2 + n)); n=$((n + 1)); done\n\
        mkdir ../limits.root && exit 1\nexit 0";
    let done = Command::new("setpriv")
        .args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "sh",
            "-c",
            script,
            "sh",
        ])
        .arg(directory.path())
        .arg(std::process::id().to_string())
        .status()
        .unwrap();
    assert!(done.success());
    assert!(directory.path().join("limits/0/full").is_dir());
    let memory = Memory::open(directory.path(), 64).unwrap();
    assert_eq!(memory.slots(), 64);
    // Nor do root's processes get into each other's way.
    for _ in 0..50 {
        std::fs::remove_file(directory.path().join("limits.root")).unwrap();
        let granted: u32 = std::thread::scope(|scope| {
            let threads = [(); 8].map(|()| {
                scope.spawn(|| {
                    let memory = Memory::open(directory.path(), 64).unwrap();
                    let rate = Rate::new(5, Duration::from_secs(3600));
                    let granted =
                        |_: &u32| matches!(memory.take(b"rule", &rate, client(1)), Ok(Taken::Within { .. }));
                    (0..5).filter(granted).count() as u32
                })
            });
            threads.map(|thread| thread.join().unwrap()).iter().sum()
        });
        assert_eq!(granted, 5);
    }
}

/// What opening the memory comes to for a process of the user 65534.
fn opened_by_another(directory: &Path, program: &Path) -> String {
    let done = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(program)
        .args(["open_inside", "--exact", "--include-ignored", "--nocapture"])
        .env(DIRECTORY, directory)
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

#[test]
#[ignore = "run by who_takes_a_users_place_opens_nothing, as another user"]
fn open_inside() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    match Memory::open(Path::new(&directory), 64).map(|memory| memory.take(b"rule", &rate(), client(1))) {
        Ok(taken) => println!("opened: {taken:?}"),
        Err(unknown) => println!("unknown: {unknown}"),
    }
}

#[test]
fn who_takes_a_users_place_opens_nothing() {
    let directory = tempfile::tempdir().unwrap();
    Memory::open(directory.path(), 64).unwrap();
    for path in [directory.path(), &directory.path().join("limits")] {
        let mode = if path == directory.path() { 0o755 } else { 0o1777 };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let program = directory.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    // What the user 1234 can put there first: nothing of it is used, waited for or removed.
    for plant in [
        "cp \"$2\" 65534; chmod 666 65534",
        "cp \"$2\" 65534; chmod 600 65534",
        ": > 65534",
        "mkdir 65534",
        "mkfifo -m 666 65534",
        "ln -s /etc/passwd 65534",
        "ln -s nowhere 65534",
        "ln -s ../limits.root 65534",
    ] {
        let sound = directory.path().join("sound");
        std::fs::copy(directory.path().join("limits.root"), &sound).unwrap();
        std::fs::set_permissions(&sound, std::fs::Permissions::from_mode(0o644)).unwrap();
        let done = Command::new("setpriv")
            .args(["--reuid=1234", "--regid=1234", "--clear-groups", "sh", "-c"])
            .arg(format!("cd \"$1/limits\" && {plant}"))
            .arg("sh")
            .args([directory.path(), &sound])
            .status()
            .unwrap();
        assert!(done.success(), "{plant}");
        let said = opened_by_another(directory.path(), &program);
        assert!(said.contains("unknown: "), "{plant}: {said}");
        let planted = directory.path().join("limits/65534");
        assert!(planted.symlink_metadata().is_ok(), "{plant}");
        let script = "rm -rf \"$1/limits/65534\"";
        Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(directory.path())
            .status()
            .unwrap();
    }
    // With nobody in its place.
    let said = opened_by_another(directory.path(), &program);
    assert!(said.contains("opened: Ok(Within"), "{said}");
    // A second name of it, wherever that leads.
    std::fs::hard_link(
        directory.path().join("limits/65534"),
        directory.path().join("second"),
    )
    .unwrap();
    let said = opened_by_another(directory.path(), &program);
    assert!(said.contains("unknown: "), "{said}");
}

#[test]
fn damage_and_what_is_in_the_way() {
    let directory = tempfile::tempdir().unwrap();
    let path = || directory.path().join("limits.root");
    Memory::open(directory.path(), 64).unwrap();
    let good = std::fs::read(path()).unwrap();
    for size in [0, 1, 4095, 4096, good.len() - 1] {
        std::fs::write(path(), &good[..size]).unwrap();
        let memory = Memory::open(directory.path(), 64).unwrap();
        assert_eq!(memory.slots(), 64, "{size}");
    }
    // Of another run of the machine.
    let mut other = good.clone();
    other[32] ^= 1;
    std::fs::write(path(), &other).unwrap();
    Memory::open(directory.path(), 128)
        .map(|memory| assert_eq!(memory.slots(), 128))
        .unwrap();
    std::fs::remove_file(path()).unwrap();
    let cause = Memory::open(Path::new("/proc/nowhere"), 64)
        .unwrap_err()
        .to_string();
    assert!(cause.starts_with("/proc/nowhere/"), "{cause}");
}

#[test]
fn a_full_file_system_is_an_error_and_no_signal() {
    let directory = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=64k tmpfs \"$1\" && exec \"$2\" full_inside --exact --include-ignored --nocapture";
    let done = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(directory.path())
        .arg(std::env::current_exe().unwrap())
        .env(DIRECTORY, directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success() && said.contains("No space left on device"),
        "{said}"
    );
}

#[test]
#[ignore = "run by a_full_file_system_is_an_error_and_no_signal, on a small one"]
fn full_inside() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    println!("{}", Memory::open(Path::new(&directory), 1 << 16).unwrap_err());
    let left = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["limits"], "nothing is left");
}
