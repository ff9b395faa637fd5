//! Connections over WASI 0.3.

use std::net::IpAddr;

use wasip3::sockets::ip_name_lookup::resolve_addresses;
use wasip3::sockets::types::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
    TcpSocket,
};
use wasip3::wit_stream;

fn told<T>(result: Result<T, ErrorCode>) -> Result<T, String> {
    result.map_err(|why| format!("{why:?}"))
}

/// The addresses of a place, `host:port`.
async fn addresses(place: &str) -> Result<Vec<IpSocketAddress>, String> {
    let (host, port) = place.rsplit_once(':').ok_or("no port")?;
    let port = port.parse().map_err(|_| "no port")?;
    let found = match host.parse::<IpAddr>() {
        Ok(address) => vec![wire(address)],
        Err(_) => resolve_addresses(host.to_owned()).await.map_err(|why| format!("{why:?}"))?,
    };
    Ok(found.into_iter().map(|address| at(address, port)).collect())
}

fn wire(address: IpAddr) -> IpAddress {
    match address {
        IpAddr::V4(address) => IpAddress::Ipv4(address.octets().into()),
        IpAddr::V6(address) => IpAddress::Ipv6(address.segments().into()),
    }
}

fn at(address: IpAddress, port: u16) -> IpSocketAddress {
    match address {
        IpAddress::Ipv4(address) => IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address }),
        IpAddress::Ipv6(address) => {
            IpSocketAddress::Ipv6(Ipv6SocketAddress { port, flow_info: 0, address, scope_id: 0 })
        }
    }
}

fn socket_for(address: &IpSocketAddress) -> Result<TcpSocket, String> {
    told(TcpSocket::create(match address {
        IpSocketAddress::Ipv4(_) => IpAddressFamily::Ipv4,
        IpSocketAddress::Ipv6(_) => IpAddressFamily::Ipv6,
    }))
}

/// Connects to the first address that answers.
pub(crate) async fn connect(place: &str) -> Result<TcpSocket, String> {
    let mut failed = "no address".to_owned();
    for address in addresses(place).await? {
        let socket = socket_for(&address)?;
        match told(socket.connect(address).await) {
            Ok(()) => return Ok(socket),
            Err(why) => failed = why,
        }
    }
    Err(failed)
}

/// Says hello and gives what is answered.
pub(crate) async fn dial(place: &str) -> Result<String, String> {
    let socket = connect(place).await?;
    let (mut writer, reader) = wit_stream::new();
    let sent = socket.send(reader);
    if !writer.write_all(b"hello\n".to_vec()).await.is_empty() {
        drop(writer);
        return told(sent.await).and(Err("not all was taken".to_owned()));
    }
    let (answer, received) = socket.receive();
    let answer = answer.collect().await;
    drop(writer);
    told(received.await)?;
    told(sent.await)?;
    String::from_utf8(answer).map_err(|why| why.to_string())
}

pub(crate) fn listen(place: &str) -> Result<(), String> {
    let (host, port) = place.rsplit_once(':').ok_or("no port")?;
    let (host, port) =
        (host.parse().map_err(|_| "no address")?, port.parse().map_err(|_| "no port")?);
    let address = at(wire(host), port);
    let socket = socket_for(&address)?;
    told(socket.bind(address))?;
    told(socket.listen()).map(drop)
}
