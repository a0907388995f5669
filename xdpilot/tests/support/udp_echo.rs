//! The container's first process, compiled statically by the tests: sends each datagram to port 7 back.

use std::net::UdpSocket;

fn main() {
    let socket = UdpSocket::bind("0.0.0.0:7").unwrap();
    println!("ready");
    let mut bytes = [0; 65536];
    loop {
        let (size, from) = socket.recv_from(&mut bytes).unwrap();
        socket.send_to(&bytes[..size], from).unwrap();
    }
}
