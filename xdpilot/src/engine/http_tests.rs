//! Answers that an honest engine never gives, from a server of our own on the other end.

use std::io::ErrorKind;
use std::thread;

use super::*;

const SHORT: Limits = Limits { time: Duration::from_millis(300), bytes: 64 << 10 };

/// What `get` makes of a server that writes `parts`, `pause` apart, and then closes.
fn answer(parts: &[&[u8]], pause: Duration, limits: Limits) -> io::Result<Response> {
    let (mut client, mut server) = UnixStream::pair().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut request = [0; 1024];
            let size = server.read(&mut request).unwrap();
            assert!(request[..size].starts_with(b"GET /x HTTP/1.0\r\n"));
            for part in parts {
                // The client may have gone already: that is what some tests are about.
                if server.write_all(part).is_err() {
                    return;
                }
                thread::sleep(pause);
            }
        });
        let result = get(&mut client, "/x", limits);
        drop(client);
        result
    })
}

fn at_once(bytes: &[u8]) -> io::Result<Response> {
    answer(&[bytes], Duration::ZERO, SHORT)
}

#[test]
fn bodies_end_by_length_by_chunks_or_by_the_end() {
    for bytes in [
        &b"HTTP/1.0 200 OK\r\n\r\n[1]"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]and more",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[\r\n2\r\n1]\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\ntransfer-encoding: Chunked\r\n\r\n3;x=y\r\n[1]\r\n0\r\nT: v\r\n\r\n",
    ] {
        assert_eq!(at_once(bytes).unwrap(), Response { status: 200, body: b"[1]".to_vec() });
    }
}

#[test]
fn an_answer_in_single_bytes_is_read() {
    let bytes = b"HTTP/1.0 404 No\r\nContent-Length: 2\r\n\r\n{}";
    let parts: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(answer(&parts, Duration::ZERO, SHORT).unwrap(), Response { status: 404, body: b"{}".to_vec() });
}

#[test]
fn truncated_answers_are_noticed() {
    for bytes in [
        &b""[..],
        b"HTTP/1.0 200",
        b"HTTP/1.0 200 OK\r\nContent-Le",
        b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\n[1]",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1]\r\n",
    ] {
        assert_eq!(at_once(bytes).unwrap_err().kind(), ErrorKind::UnexpectedEof, "{}", bytes.escape_ascii());
    }
}

#[test]
fn malformed_answers_are_refused() {
    for bytes in [
        &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
        b"HTTP/1.0 abc OK\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n[1]\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[1]\r\n0\r\n\r\n",
    ] {
        assert_eq!(at_once(bytes).unwrap_err().kind(), ErrorKind::InvalidData, "{}", bytes.escape_ascii());
    }
    let many = format!("HTTP/1.0 200 OK\r\n{}\r\n", "A: b\r\n".repeat(MAX_HEADERS + 1));
    assert_eq!(at_once(many.as_bytes()).unwrap_err().kind(), ErrorKind::InvalidData);
}

#[test]
fn huge_answers_stop_at_the_limit() {
    let announced = b"HTTP/1.0 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n";
    assert_eq!(at_once(announced).unwrap_err().kind(), ErrorKind::FileTooLarge);
    let block = [b'x'; 4096];
    let mut endless: Vec<&[u8]> = vec![b"HTTP/1.0 200 OK\r\n\r\n"];
    endless.extend(std::iter::repeat_n(&block[..], 64));
    assert_eq!(answer(&endless, Duration::ZERO, SHORT).unwrap_err().kind(), ErrorKind::FileTooLarge);
    endless[0] = b"HTTP/1.0 200 OK\r\nX: ";
    assert_eq!(answer(&endless, Duration::ZERO, SHORT).unwrap_err().kind(), ErrorKind::FileTooLarge);
}

#[test]
fn the_limit_for_a_real_engine_is_16_mib_and_just_under_it_passes() {
    let mut bytes = b"HTTP/1.0 200 OK\r\n\r\n".to_vec();
    bytes.resize(16 << 20, b' ');
    assert_eq!(answer(&[&bytes], Duration::ZERO, LIMITS).unwrap().body.len(), (16 << 20) - 19);
    bytes.push(b' ');
    assert_eq!(answer(&[&bytes], Duration::ZERO, LIMITS).unwrap_err().kind(), ErrorKind::FileTooLarge);
}

#[test]
fn slow_answers_end_at_the_deadline_though_each_byte_comes_in_time() {
    let parts = [&b"H"[..]; 20];
    let start = Instant::now();
    let limits = Limits { time: Duration::from_millis(120), ..SHORT };
    // Valid so far, a byte each 40 ms: only a deadline for the whole answer ends this.
    let mut drip: Vec<&[u8]> = vec![b"HTTP/1.0 200 OK\r\nX: "];
    drip.extend(parts);
    assert_eq!(answer(&drip, Duration::from_millis(40), limits).unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(start.elapsed() >= limits.time);
    let silent: [&[u8]; 5] = [b""; 5];
    assert_eq!(answer(&silent, Duration::from_millis(40), limits).unwrap_err().kind(), ErrorKind::TimedOut);
}
