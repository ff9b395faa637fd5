//! Free ports.

use std::net::{Ipv4Addr, TcpListener, TcpStream};

/// A TCP port on the loopback interface that nobody listens on at the moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port exists");
    listener.local_addr().expect("a bound listener has an address").port()
}

/// Whether somebody accepts connections on this port of the loopback interface.
pub fn listens(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}
