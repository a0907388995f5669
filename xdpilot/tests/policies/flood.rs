//! Limits by source.

use std::net::{SocketAddrV4, TcpListener};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::time::Duration;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt};
use nix::sys::time::TimeVal;

use crate::command::unload;
use crate::net::{FAR, LOST, Pair};
use crate::traffic::{FIRST, OTHER, hits, load, pair};

/// So long a handshake may take whose first packet is not lost: a second one is sent after a second.
const AT_ONCE: Duration = Duration::from_millis(900);

/// Sends so many SYN packets from an address, as fast as they go.
fn flood(pair: &Pair, from: &str, count: u32) {
    let words = format!("netns exec {} hping3 {FAR} -q -S -p 80 -a {from} -c {count} -i u100", pair.near.name);
    let output = Command::new("ip").args(words.split_whitespace()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(&format!("{count} packets transmitted")), "{said}");
}

/// Whether a connection from this address to port 80 comes about in time.
fn connects(pair: &Pair, from: &str, patience: Duration) -> bool {
    let at = |host: &str, port: u16| SockaddrIn::from(SocketAddrV4::new(host.parse().unwrap(), port));
    pair.near.run(|| {
        let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None).unwrap();
        let time = TimeVal::new(0, i64::try_from(patience.as_micros()).unwrap());
        setsockopt(&socket, sockopt::SendTimeout, &time).unwrap();
        bind(socket.as_raw_fd(), &at(from, 0)).unwrap();
        connect(socket.as_raw_fd(), &at(FAR, 80)).is_ok()
    })
}

#[test]
fn root_a_flood_of_one_source_is_cut_and_does_not_touch_another() {
    let pair = pair();
    let listener = pair.far.run(|| TcpListener::bind((FAR, 80)).unwrap());
    load(&pair, "limit 10/s per src burst 20 when tcp syn; count through when tcp syn");
    assert!(connects(&pair, FIRST, AT_ONCE), "one connection is no flood");
    flood(&pair, FIRST, 2000);
    assert!(!connects(&pair, FIRST, LOST), "the flood's source has to wait");
    assert!(connects(&pair, OTHER, AT_ONCE), "another source has not");
    let seen = hits(&pair.target());
    assert!(seen[0] >= 2003, "{seen:?}");
    // The burst, and ten for each second that the flood took: far below one a millisecond.
    assert!((20..200).contains(&seen[1]), "{seen:?}");
    unload(&pair.target());
    assert!(connects(&pair, FIRST, AT_ONCE));
    drop(listener);
}
