//! A web server that says who it is and who asks, and a connection to it that stays open.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};

use nix::sys::socket;

use crate::net::{Net, PATIENCE};

/// What is downloaded at `/big`.
pub(crate) fn big() -> &'static [u8] {
    static BIG: OnceLock<Vec<u8>> = OnceLock::new();
    BIG.get_or_init(|| {
        // Numbers without a pattern, the same in each run (Knuth's MMIX generator).
        let mut seed = 0x5EED_u64;
        let mut draw = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            seed.to_be_bytes()
        };
        (0..100_000_000 / 8).flat_map(|_| draw()).collect()
    })
}

/// The connections that are open, by a number of their own.
type Open = Arc<Mutex<HashMap<usize, TcpStream>>>;

/// A running web server; it ends with this value, and all its connections.
pub(crate) struct Server {
    listener: TcpListener,
    open: Open,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves `NAME saw CLIENT` at this port of all addresses of a namespace.
    pub(crate) fn start(net: &Net, port: u16, name: &str) -> Server {
        Server::start_at(net, SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), name)
    }

    /// The same at one address alone.
    pub(crate) fn start_at(net: &Net, host: SocketAddr, name: &str) -> Server {
        let listener = net.run(|| TcpListener::bind(host).unwrap());
        let (accepting, open, name) = (listener.try_clone().unwrap(), Open::default(), name.to_string());
        let all = Arc::clone(&open);
        let thread = thread::spawn(move || {
            for number in 0.. {
                // The listener's shutdown in `drop` makes accept fail.
                let Ok((visitor, from)) = accepting.accept() else { return };
                all.lock().unwrap().insert(number, visitor.try_clone().unwrap());
                let (all, page) = (Arc::clone(&all), format!("{name} saw {}\n", from.ip().to_canonical()));
                thread::spawn(move || {
                    serve(visitor, page.as_bytes());
                    all.lock().unwrap().remove(&number);
                });
            }
        });
        Server { listener, open, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = socket::shutdown(self.listener.as_raw_fd(), socket::Shutdown::Both);
        _ = self.thread.take().map(JoinHandle::join);
        self.open.lock().unwrap().values().for_each(|visitor| drop(visitor.shutdown(Shutdown::Both)));
    }
}

/// Answers requests until the visitor goes or wants no more.
fn serve(mut visitor: TcpStream, page: &[u8]) {
    let mut reader = BufReader::new(visitor.try_clone().unwrap());
    while let Some(head) = head(&mut reader) {
        let mut sent = Vec::new();
        if let Some(length) = length(&head) {
            _ = reader.by_ref().take(length).read_to_end(&mut sent);
        }
        let body = match head.split(' ').nth(1) {
            Some("/big") => big(),
            Some("/same") if big().starts_with(&sent) => b"the same\n",
            Some("/same") => b"other bytes\n",
            _ => page,
        };
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let sent = visitor.write_all(&[answer.as_bytes(), body].concat());
        if sent.is_err() || head.contains("Connection: close") {
            return;
        }
    }
}

/// The lines up to an empty one; none where the other side ends before.
fn head(reader: &mut impl BufRead) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

/// How long the body is that follows.
fn length(head: &str) -> Option<u64> {
    head.split_once("Content-Length: ")?.1.lines().next()?.parse().ok()
}

/// A connection on which one request follows the other.
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Connects from a namespace.
    pub(crate) fn open(from: &Net, to: SocketAddr) -> Connection {
        let stream = from.run(|| TcpStream::connect_timeout(&to, PATIENCE).unwrap());
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Connection(BufReader::new(stream))
    }

    /// The name of the server that answers the next request.
    #[track_caller]
    pub(crate) fn server(&mut self) -> String {
        self.0.get_mut().write_all(b"GET / HTTP/1.1\r\nHost: cats\r\n\r\n").unwrap();
        let head = head(&mut self.0).expect("the connection was cut");
        let mut body = vec![0; length(&head).unwrap() as usize];
        self.0.read_exact(&mut body).unwrap();
        String::from_utf8(body).unwrap().split_once(" saw ").unwrap().0.to_string()
    }
}
