//! Limits by source.

use std::net::{SocketAddrV4, TcpListener};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt};
use nix::sys::time::TimeVal;

use crate::command::unload;
use crate::net::{FAR, LOST, PATIENCE, Pair};
use crate::traffic::{FIRST, OTHER, hits, load, pair};

/// So long a handshake may take whose first packet is not lost: a second one is sent after a second.
const AT_ONCE: Duration = Duration::from_millis(900);

/// SYN packets from an address, ten a millisecond, until this value goes.
struct Flood(Child);

impl Flood {
    fn start(pair: &Pair, from: &str) -> Flood {
        let words = format!("netns exec {} hping3 {FAR} -q -S -p 80 -a {from} -i u100", pair.near.name);
        let mut hping = Command::new("ip");
        hping.args(words.split_whitespace()).stdout(Stdio::null()).stderr(Stdio::null());
        Flood(hping.spawn().unwrap())
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        // ip has become hping3 by exec.
        _ = self.0.kill();
        _ = self.0.wait();
    }
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
    load(&pair, "limit 1/s per src burst 20 when tcp syn; count through when tcp syn");
    assert!(connects(&pair, FIRST, AT_ONCE), "one connection is no flood");
    let began = Instant::now();
    let flood = Flood::start(&pair, FIRST);
    while hits(&pair.target())[0] < 1000 {
        assert!(began.elapsed() < PATIENCE, "hping3 sends nothing: {:?}", hits(&pair.target()));
    }
    assert!(!connects(&pair, FIRST, LOST), "the flood's source has to wait");
    assert!(connects(&pair, OTHER, AT_ONCE), "another source has not");
    drop(flood);
    let seen = hits(&pair.target());
    // The burst, one for each second, and the two connections.
    let most = 20 + 2 + began.elapsed().as_secs() + 1;
    assert!((20..=most).contains(&seen[1]), "{seen:?}, at most {most}");
    unload(&pair.target());
    assert!(connects(&pair, FIRST, AT_ONCE));
    drop(listener);
}
