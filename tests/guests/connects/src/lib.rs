//! Tries the network through sockets, which every language's library can reach.

use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};

wit_bindgen::generate!({
    inline: "
        package guest:connects;
        interface tasks {
            tcp: func(address: string) -> result<_, string>;
            listen: func(address: string) -> result<_, string>;
            udp: func(address: string) -> result<_, string>;
            look-up: func(name: string) -> result<list<string>, string>;
        }
        world plugin { export tasks; }
    ",
});

struct Connects;
export!(Connects);

impl exports::guest::connects::tasks::Guest for Connects {
    fn tcp(address: String) -> Result<(), String> {
        TcpStream::connect(address).map(|_| ()).map_err(|why| why.to_string())
    }

    fn listen(address: String) -> Result<(), String> {
        TcpListener::bind(address).map(|_| ()).map_err(|why| why.to_string())
    }

    fn udp(address: String) -> Result<(), String> {
        let socket = UdpSocket::bind("0.0.0.0:0").map_err(|why| why.to_string())?;
        socket.send_to(b"hello", address).map(|_| ()).map_err(|why| why.to_string())
    }

    fn look_up(name: String) -> Result<Vec<String>, String> {
        let found = (name.as_str(), 80).to_socket_addrs().map_err(|why| why.to_string())?;
        Ok(found.map(|address| address.to_string()).collect())
    }
}
