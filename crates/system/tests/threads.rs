//! Many decisions at once in threads of one process, each about a connection of its own.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Mutex;
use std::thread;

use hosts_access::{Policy, Request, Severity, Side, Tables, Verdict};
use system::host::SocketHost;

#[test]
fn threads_decide_side_by_side() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    std::fs::create_dir(directory.path().join("banners")).unwrap();
    for n in 0..16 {
        write(&format!("banners/even{n}"), "hello %d on %A\n");
    }
    let banners = directory.path().join("banners");
    let allow = format!(
        "even*: 127.0.0.1: keepalive: linger 1: banners {}: spawn true: aclexec test %d != even8\n",
        banners.display()
    );
    write("hosts.allow", &allow);
    write("hosts.deny", "ALL: ALL\n");
    let tables = Tables::in_directory(directory.path());
    let policy = Policy::new(tables.clone());
    let log = Mutex::new(Vec::new());
    let record = |_: Severity, line: &[u8]| {
        log.lock()
            .unwrap()
            .push(String::from_utf8(line.to_vec()).unwrap())
    };
    thread::scope(|scope| {
        for n in 0..16 {
            let (policy, record, tables) = (&policy, &record, &tables);
            scope.spawn(move || {
                let daemon = format!("{}{n}", ["even", "odd"][n % 2]);
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                let (server, _) = listener.accept().unwrap();
                for round in 0..4 {
                    let mut host = SocketHost::new(server.as_fd(), record);
                    let mut request = Request::new(daemon.as_str()).resident(true);
                    let decision = match round % 2 {
                        0 => policy.decide(&mut request, &mut host),
                        _ => tables.decide(&mut request, &mut host),
                    };
                    assert_eq!(request.looked_up_address(Side::Client), Some(&b"127.0.0.1"[..]));
                    let expected = if n % 2 == 0 && n != 8 {
                        Verdict::Granted
                    } else {
                        Verdict::Denied
                    };
                    assert_eq!(decision.verdict, expected, "{daemon}");
                }
                drop(server);
                let mut text = String::new();
                client.read_to_string(&mut text).unwrap();
                let banner = format!("hello {daemon} on 127.0.0.1\r\n").repeat(4);
                assert_eq!(text, if n % 2 == 0 { banner } else { String::new() });
            });
        }
    });
    assert_eq!(*log.lock().unwrap(), ["aclexec returned 1"; 4]);
}
