//! The ident client against servers that are slow, silent, endless or lying: nothing they do takes longer than
//! the timeout, and nothing but a well-formed reply names a user.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use support::alone;
use system::ident;

const CLIENT: &str = "127.0.0.2:40000";
const SERVER: &str = "127.0.0.3:22";

/// Asks a server that treats its one client so. Returns the user, and how long it took.
fn ask(
    timeout: Duration,
    serve: impl FnOnce(TcpStream, &str) -> io::Result<()> + Send,
) -> (Option<String>, Duration) {
    let listener = TcpListener::bind("127.0.0.2:113").expect("nobody else is here");
    thread::scope(|scope| {
        scope.spawn(move || {
            let (mut stream, from) = listener.accept().expect("a connection");
            // The question comes from the address that the connection asked about came to.
            assert_eq!(from.ip().to_string(), "127.0.0.3");
            let mut question = [0; 64];
            let size = stream.read(&mut question).expect("a question");
            let question = String::from_utf8_lossy(&question[..size]).into_owned();
            // The asker may be gone at any time.
            let _ = serve(stream, question.trim_end());
        });
        let start = Instant::now();
        let [client, server] = [CLIENT, SERVER].map(|text| text.parse::<SocketAddr>().expect("an address"));
        let user = ident::user(&client, &server, timeout, &mut |problem| {
            panic!("{}", String::from_utf8_lossy(&problem))
        });
        (
            user.map(|user| String::from_utf8_lossy(&user).into_owned()),
            start.elapsed(),
        )
    })
}

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(300);
/// Time for a busy machine, on top of a timeout.
const SLACK: Duration = Duration::from_secs(20);

#[test]
fn a_reply_names_the_user() {
    alone(|_| {
        let (user, _) = ask(LONG, |mut stream, question| {
            assert_eq!(question, "40000,22");
            stream.write_all(b"40000, 22 : USERID : UNIX : joe\r\n")
        });
        assert_eq!(user.as_deref(), Some("joe"));
    });
}

#[test]
fn a_reply_may_come_byte_by_byte() {
    alone(|_| {
        let (user, _) = ask(LONG, |mut stream, _| {
            for byte in b"40000 , 22 : USERID : UNIX : joe\r\n" {
                stream.write_all(&[*byte])?;
                thread::sleep(Duration::from_millis(5));
            }
            // Until the asker closes, who does not wait for the end.
            stream.read(&mut [0]).map(drop)
        });
        assert_eq!(user.as_deref(), Some("joe"));
    });
}

#[test]
fn silence_ends_with_the_timeout() {
    alone(|_| {
        let (user, took) = ask(SHORT, |mut stream, _| {
            // Until the asker closes.
            stream.read(&mut [0]).map(drop)
        });
        assert_eq!(user, None);
        assert!(took >= SHORT && took < SHORT + SLACK, "{took:?}");
    });
}

/// Each byte comes in time; the reply as a whole does not.
#[test]
fn a_trickle_ends_with_the_timeout() {
    alone(|_| {
        let (user, took) = ask(SHORT, |mut stream, _| {
            loop {
                stream.write_all(b" ")?;
                thread::sleep(Duration::from_millis(20));
            }
        });
        assert_eq!(user, None);
        assert!(took < SHORT + SLACK, "{took:?}");
    });
}

#[test]
fn an_endless_line_is_cut() {
    alone(|_| {
        let (user, took) = ask(LONG, |mut stream, _| {
            stream.write_all(b"40000 , 22 : USERID : UNIX : ")?;
            loop {
                stream.write_all(&[b'x'; 4096])?;
            }
        });
        assert_eq!(user, Some("x".repeat(255)));
        assert!(took < SLACK, "{took:?}");
    });
}

#[test]
fn noise_names_nobody() {
    alone(|_| {
        let replies: [&[u8]; 8] = [
            b"",
            b"\r\n",
            b"40000, 22 : USERID : UNIX : joe",
            b"22, 40000 : USERID : UNIX : joe\r\n",
            b"40000, 22 : ERROR : HIDDEN-USER\r\n",
            b"40000, 22 : USERID : UNIX :\r\n: joe\r\n",
            b"\xff\xfe\x00\x01\x02%n%s%n\r\n",
            b"40000, 22 : USERID : UNIX : \x00joe\r\n",
        ];
        for reply in replies {
            let (user, took) = ask(LONG, |mut stream, _| stream.write_all(reply));
            assert_eq!(user, None, "{}", reply.escape_ascii());
            assert!(took < SLACK, "{took:?}");
        }
    });
}

#[test]
fn nobody_listening_is_no_answer() {
    alone(|_| {
        let [client, server] = [CLIENT, SERVER].map(|text| text.parse::<SocketAddr>().expect("an address"));
        let start = Instant::now();
        let mut warn = |problem: Vec<u8>| panic!("{}", String::from_utf8_lossy(&problem));
        assert_eq!(ident::user(&client, &server, LONG, &mut warn), None);
        // An address of this host is not the server's to ask from.
        let elsewhere = "192.0.2.1:22".parse().expect("an address");
        assert_eq!(ident::user(&client, &elsewhere, LONG, &mut warn), None);
        assert!(start.elapsed() < SLACK);
    });
}

/// A host that swallows the connection request.
#[test]
fn a_host_that_is_not_there_ends_with_the_timeout() {
    alone(|machine| {
        let neighbour = machine.neighbour("silent", &["192.0.2.1/24"], &["192.0.2.2/24"]);
        let dropped = neighbour
            .command("ip")
            .args(["route", "add", "blackhole", "192.0.2.1/32"])
            .status();
        assert!(dropped.expect("ip runs").success());
        let [client, server] =
            ["192.0.2.2:40000", "192.0.2.1:22"].map(|text| text.parse::<SocketAddr>().expect("an address"));
        let start = Instant::now();
        assert_eq!(ident::user(&client, &server, SHORT, &mut |_| ()), None);
        let took = start.elapsed();
        assert!(took >= SHORT && took < SHORT + SLACK, "{took:?}");
    });
}

/// Many lookups at once, from threads of one process.
#[test]
fn threads_ask_side_by_side() {
    alone(|_| {
        let listener = TcpListener::bind("127.0.0.2:113").expect("nobody else is here");
        thread::spawn(move || {
            for stream in listener.incoming() {
                thread::spawn(move || {
                    let mut stream = stream.expect("a connection");
                    let mut question = [0; 64];
                    let size = stream.read(&mut question).expect("a question");
                    let question = String::from_utf8_lossy(&question[..size]).into_owned();
                    let (port, rest) = question.trim_end().split_once(',').expect("two ports");
                    thread::sleep(Duration::from_secs(1));
                    let reply = format!("{port},{rest}:USERID:UNIX:user{port}\r\n");
                    stream.write_all(reply.as_bytes()).expect("sent");
                });
            }
        });
        let start = Instant::now();
        thread::scope(|scope| {
            for port in 1000..1050u16 {
                scope.spawn(move || {
                    let client = SocketAddr::new([127, 0, 0, 2].into(), port);
                    let server = SERVER.parse().expect("an address");
                    let user = ident::user(&client, &server, LONG, &mut |_| ());
                    assert_eq!(user, Some(format!("user{port}").into_bytes()));
                });
            }
        });
        assert!(start.elapsed() < SLACK);
    });
}
