//! Streams of events, whole and broken, from engines that are none.

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::sync::mpsc;
use std::thread;

use super::super::Engine;
use super::*;

const HEAD: &[u8] = b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n";

/// An event as Docker 28 writes it.
fn line(action: &str, name: &str, more: &str) -> String {
    format!(
        r#"{{"status":"{action}","id":"a1","from":"image","Type":"container","Action":"{action}","Actor":{{"ID":"a1","Attributes":{{"image":"image","name":"{name}"{more}}}}},"scope":"local","time":1,"timeNano":1}}"#
    )
}

fn lines(bytes: &[u8], step: usize) -> io::Result<Vec<String>> {
    let mut answer = Answer::default();
    let mut found = Vec::new();
    for part in bytes.chunks(step) {
        found.extend(answer.take(part)?.into_iter().map(|line| String::from_utf8(line).unwrap()));
    }
    Ok(found)
}

#[test]
fn lines_are_found_however_they_are_cut() {
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab\n\r\n1\r\nc\r\n2;x=y\r\nd\n\r\n";
    for step in 1..40 {
        assert_eq!(lines(&[HEAD, b"ab\ncd\ne"].concat(), step).unwrap(), ["ab", "cd"], "{step}");
        assert_eq!(lines(chunked, step).unwrap(), ["ab", "cd"], "{step}");
    }
}

#[test]
fn what_is_too_long_or_no_http_is_an_error() {
    let long = vec![b'x'; LONGEST + 1];
    let chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for bytes in [
        [HEAD, &long[..]].concat(),
        [b"HTTP/1.0 200 OK\r\nX: ", &long[..]].concat(),
        [&chunk[..], b"FFFFFFFFFFFF\r\n"].concat(),
        [&chunk[..], b"2\r\nabc\r\n"].concat(),
        [&chunk[..], b"zz\r\n"].concat(),
        b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
    ] {
        lines(&bytes, 4096).unwrap_err();
    }
}

#[test]
fn events_are_read_and_others_passed_over() {
    let event = |kind| Some(Event { name: "web".into(), id: "a1".into(), kind });
    assert_eq!(read_event(line("start", "web", "").as_bytes()), event(Kind::Start));
    assert_eq!(read_event(line("die", "web", r#","exitCode":"137""#).as_bytes()), event(Kind::Die));
    assert_eq!(read_event(line("died", "/web", "").as_bytes()), event(Kind::Die));
    let before = Some("old".to_owned());
    assert_eq!(read_event(line("rename", "web", r#","oldName":"/old""#).as_bytes()), event(Kind::Rename { before }));
    for other in [&line("exec_create: sh", "web", "")[..], "", "{}", "[1", r#"{"Action":7,"Actor":{}}"#] {
        assert_eq!(read_event(other.as_bytes()), None);
    }
}

/// An engine that ends its answers, refuses, and comes back.
#[test]
fn an_engine_is_heard_again_whenever_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("sock");
    let (told, hear) = mpsc::channel();
    let (stop, stopped) = io::pipe().map(|(reader, writer)| (writer, reader)).unwrap();
    let at = socket.clone();
    let follower = thread::spawn(move || {
        follow(|| Ok(Client::at(Engine::Docker, &at)), stopped.as_fd(), |what| told.send(what).unwrap());
    });
    assert!(matches!(hear.recv().unwrap(), Told::Away(error) if error.to_string().contains("systemctl start docker")));
    let listener = UnixListener::bind(&socket).unwrap();
    let answer = |bytes: &[u8]| {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let size = stream.read(&mut request).unwrap();
        assert!(request[..size].starts_with(b"GET /events?since="));
        stream.write_all(bytes).unwrap();
        stream
    };
    for _ in 0..2 {
        let stream = answer(&[HEAD, line("start", "web", "").as_bytes(), b"\n"].concat());
        assert_eq!(hear.recv().unwrap(), Told::Listening);
        assert!(matches!(hear.recv().unwrap(), Told::Event(event) if event.kind == Kind::Start));
        drop(stream);
        assert!(matches!(hear.recv().unwrap(), Told::Away(error) if error.to_string().contains("ends early")));
    }
    // Told once, and tried again.
    for _ in 0..3 {
        answer(b"HTTP/1.0 500 No\r\n\r\n{\"message\":\"no events here\"}");
    }
    let stream = answer(HEAD);
    assert_eq!(hear.recv().unwrap(), Told::Listening);
    drop(stop);
    follower.join().unwrap();
    drop(stream);
    assert!(hear.recv().is_err());
}
