//! A web server for one cat, and a client that knows when to give up.
//!
//! HTTP/1.1 as far as `curl` and a browser need it (RFC 9112): one request a connection, GET and HEAD.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// The cat for people with a terminal.
pub(super) const CAT_TEXT: &str = include_str!("cat.txt");
/// The cat for people with a browser.
pub(super) const CAT_PICTURE: &str = include_str!("cat.svg");

/// The longest request head that is read, in bytes.
const HEAD_LIMIT: usize = 8 * 1024;
/// How long a visitor may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// A running web server; dropping it stops it.
pub(super) struct Server {
    listener: TcpListener,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// Serves under a name on this listener, in threads of its own, one for each visitor.
    ///
    /// Errors: the listener cannot be duplicated, a thread cannot be started.
    pub(super) fn start(listener: TcpListener, name: &'static str) -> io::Result<Server> {
        let accepting = listener.try_clone()?;
        let thread = thread::Builder::new().name("web".into()).spawn(move || {
            // The listener's shutdown in `drop` makes accept fail, and ends the loop.
            while let Ok((visitor, _)) = accepting.accept() {
                // Without a thread for the visitor the connection closes: there is no one to tell.
                let _ = thread::Builder::new().spawn(move || serve(visitor, name));
            }
        })?;
        Ok(Server { listener, thread: Some(thread) })
    }

    /// Waits for the server's end, which only an error of the listener brings.
    pub(super) fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic there was already reported by the panic hook.
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        use nix::sys::socket::{Shutdown, shutdown};
        use std::os::fd::AsRawFd;
        if let Some(thread) = self.thread.take() {
            // On Linux this wakes a thread that waits in accept(2).
            if shutdown(self.listener.as_raw_fd(), Shutdown::Both).is_ok() {
                let _ = thread.join();
            }
        }
    }
}

/// Answers one visitor; an error on the way ends the visit.
fn serve(mut visitor: TcpStream, name: &str) -> io::Result<()> {
    visitor.set_write_timeout(Some(PATIENCE))?;
    let head = read_until(&mut visitor, Instant::now() + PATIENCE, HEAD_LIMIT, |bytes| {
        bytes.windows(4).any(|four| four == b"\r\n\r\n")
    })?;
    visitor.write_all(&respond(&String::from_utf8_lossy(&head), name))?;
    visitor.shutdown(Shutdown::Write)
}

/// The whole response to a request head.
fn respond(head: &str, name: &str) -> Vec<u8> {
    let mut words = head.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let wants_picture = head.lines().any(|line| {
        let line = line.to_ascii_lowercase();
        line.starts_with("accept:") && (line.contains("text/html") || line.contains("image/"))
    });
    let (status, kind, body) = match (method, path) {
        ("GET" | "HEAD", "/") if wants_picture => ("200 OK", "image/svg+xml", CAT_PICTURE),
        ("GET" | "HEAD", "/" | "/cat.txt") => ("200 OK", "text/plain; charset=utf-8", CAT_TEXT),
        ("GET" | "HEAD", "/cat.svg") => ("200 OK", "image/svg+xml", CAT_PICTURE),
        ("GET" | "HEAD", _) => ("404 Not Found", "text/plain; charset=utf-8", "No cat here.\n"),
        _ => ("405 Method Not Allowed", "text/plain; charset=utf-8", "Cats are only looked at.\n"),
    };
    let length = body.len();
    let mut response = format!(
        "HTTP/1.1 {status}\r\nServer: {name}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Allow: GET, HEAD\r\nConnection: close\r\n\r\n"
    );
    if method != "HEAD" {
        response.push_str(body);
    }
    response.into_bytes()
}

/// Gets `/` from this server and returns the body of a `200` answer.
///
/// Errors: no complete answer within `timeout`, another status.
pub(super) fn get(server: SocketAddr, timeout: Duration) -> io::Result<String> {
    ask(server, timeout).map(|(_, body)| body)
}

/// Gets `/` from this server and returns the name under which it serves; the page must be the cat's.
///
/// Errors: as [`get`].
pub(super) fn name(server: SocketAddr, timeout: Duration) -> io::Result<String> {
    let (head, body) = ask(server, timeout)?;
    let name = head.lines().find_map(|line| line.strip_prefix("Server: "));
    name.filter(|_| body == CAT_TEXT).map(str::to_owned).ok_or_else(not_the_page)
}

/// The head and the body of a `200` answer.
fn ask(server: SocketAddr, timeout: Duration) -> io::Result<(String, String)> {
    let deadline = Instant::now() + timeout;
    let mut stream = TcpStream::connect_timeout(&server, timeout)?;
    stream.set_write_timeout(Some(timeout))?;
    write!(stream, "GET / HTTP/1.1\r\nHost: {server}\r\nUser-Agent: xdpilot\r\nConnection: close\r\n\r\n")?;
    let answer = read_until(&mut stream, deadline, 64 * 1024, |_| false)?;
    let answer = String::from_utf8_lossy(&answer);
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok((head.to_owned(), body.to_owned())),
        _ => Err(not_the_page()),
    }
}

fn not_the_page() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not the page")
}

/// Reads until `done` says so, the other side closes or `limit` bytes are there.
fn read_until(
    stream: &mut TcpStream,
    deadline: Instant,
    limit: usize,
    done: impl Fn(&[u8]) -> bool,
) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut piece = [0; 2048];
    while bytes.len() < limit && !done(&bytes) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece)? {
            0 => break,
            count => bytes.extend_from_slice(&piece[..count]),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started() -> (Server, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (Server::start(listener, "cat").unwrap(), address)
    }

    #[test]
    fn the_client_gets_the_cat() {
        let (_server, address) = started();
        assert_eq!(get(address, Duration::from_secs(5)).unwrap(), CAT_TEXT);
        assert_eq!(name(address, Duration::from_secs(5)).unwrap(), "cat");
    }

    #[test]
    fn curl_gets_text_and_a_browser_gets_the_picture() {
        let (_server, address) = started();
        let curl = |arguments: &[&str]| {
            let output = std::process::Command::new("curl")
                .args(["-sS", "-m", "5"])
                .args(arguments)
                .arg(format!("http://{address}/"))
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(curl(&[]), CAT_TEXT);
        assert_eq!(curl(&["-H", "Accept: text/html,image/avif,*/*"]), CAT_PICTURE);
        assert!(curl(&["-I"]).ends_with("\r\n\r\n"));
    }

    #[test]
    fn a_stopped_server_lets_go_of_its_port() {
        let (server, address) = started();
        drop(server);
        assert_eq!(get(address, Duration::from_secs(5)).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        TcpListener::bind(address).unwrap();
    }

    #[test]
    fn a_silent_server_is_given_up_on_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let started = Instant::now();
        assert!(get(listener.local_addr().unwrap(), Duration::from_millis(100)).is_err());
        assert!(started.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn other_paths_methods_and_garbage_are_refused() {
        for (head, status) in [
            ("GET /dog HTTP/1.1", "404"),
            ("POST / HTTP/1.1", "405"),
            ("", "405"),
            ("\u{fffd}\u{fffd} \0", "405"),
            ("GET", "404"),
        ] {
            let response = String::from_utf8(respond(head, "cat")).unwrap();
            assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{head:?}: {response}");
        }
    }
}
