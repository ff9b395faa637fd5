//! TCP connections to granted places: to addresses that a granted name was found to have, in this
//! run, and to addresses that the grant spells out. Nobody listens. What goes over a connection
//! counts like what goes over `wasi:http`.

mod calls;
mod counted;
mod wasi3;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use umbel_task::grants::Grants;
use umbel_task::grants::host::{Host, HostPattern};
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::WasiCtxView;
use wasmtime_wasi::p2::bindings::sockets::network::{
    self, ErrorCode, HostNetwork, IpAddressFamily, Network,
};
use wasmtime_wasi::p2::bindings::sockets::{tcp, tcp_create_socket};
use wasmtime_wasi::p2::{SocketError, SocketResult, TcpSocket};
use wasmtime_wasi::sockets::{SocketAddrUse, TcpSocket as TcpSocket3, WasiSocketsView};

use super::Opened;
use crate::meter::{Exceeded, OpenSocket};
use crate::state::State;

/// The addresses one run may connect to. What was checked is what is called: a name that has
/// another address a moment later leads nowhere else.
#[derive(Default)]
pub(crate) struct Pins(Mutex<BTreeSet<SocketAddr>>);

impl Pins {
    /// Says whether an address may be used in this way.
    pub(super) fn allow(&self, address: SocketAddr, what: SocketAddrUse) -> bool {
        match what {
            SocketAddrUse::TcpConnect => {
                let address = SocketAddr::new(address.ip().to_canonical(), address.port());
                self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&address)
            }
            // What the system does by itself before it connects.
            SocketAddrUse::TcpBind => address.port() == 0 && address.ip().is_unspecified(),
            _ => false,
        }
    }

    /// What the operator wrote as addresses needs no name.
    pub(super) fn spell_out(&self, grants: &Grants) {
        for pattern in &grants.sockets {
            if let HostPattern::One(Host::Address(address)) = pattern.host {
                self.pin(address, pattern.port);
            }
        }
    }

    /// Lets the run connect to an address.
    pub(super) fn pin(&self, address: IpAddr, port: u16) {
        let mut pins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pins.insert(SocketAddr::new(address.to_canonical(), port));
    }
}

/// A run's view of its sockets for one host call.
pub(super) struct Sockets<'a>(pub(super) &'a mut State);

pub(super) struct HasSockets;

impl HasData for HasSockets {
    type Data<'a> = Sockets<'a>;
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    tcp::add_to_linker::<State, HasSockets>(linker, |state| Sockets(state))?;
    tcp_create_socket::add_to_linker::<State, HasSockets>(linker, |state| Sockets(state))?;
    wasi3::add_to_linker(linker)
}

impl network::Host for Sockets<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn network_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        network::Host::network_error_code(&mut self.0.sockets(), error)
    }
}

impl HostNetwork for Sockets<'_> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        HostNetwork::drop(&mut self.0.sockets(), network)
    }
}

impl tcp_create_socket::Host for Sockets<'_> {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        let place = self.0.place().map_err(|_| ErrorCode::NewSocketLimit)?;
        let socket = tcp_create_socket::Host::create_tcp_socket(&mut self.0.sockets(), family)?;
        self.0.opened().1.hold(socket.rep(), place);
        Ok(socket)
    }
}

impl State {
    /// A place for one more socket; those that were closed since make room.
    fn place(&mut self) -> Result<Arc<OpenSocket>, Exceeded> {
        let meter = Arc::clone(&self.meter);
        if let Ok(place) = meter.socket() {
            return Ok(Arc::new(place));
        }
        let (WasiCtxView { table, .. }, opened) = self.opened();
        opened.open.retain(|(rep, _)| {
            table.get(&Resource::<TcpSocket>::new_borrow(*rep)).is_ok()
                || table.get(&Resource::<TcpSocket3>::new_borrow(*rep)).is_ok()
        });
        meter.socket().map(Arc::new)
    }
}

impl Opened {
    /// The socket under this number is open. One that had it earlier is not.
    fn hold(&mut self, rep: u32, place: Arc<OpenSocket>) {
        self.open.retain(|(other, _)| *other != rep);
        self.open.push((rep, place));
    }

    fn held(&self, rep: u32) -> Option<Arc<OpenSocket>> {
        self.open.iter().find(|(other, _)| *other == rep).map(|(_, place)| place.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pinned_addresses_are_connected_to_and_nothing_listens() {
        let pins = Pins::default();
        pins.pin("192.0.2.1".parse().expect("an address"), 5432);
        let check = |address: &str, what: SocketAddrUse, expected: bool| {
            let address: SocketAddr = address.parse().expect(address);
            assert_eq!(pins.allow(address, what), expected, "{what:?} {address}");
        };
        check("192.0.2.1:5432", SocketAddrUse::TcpConnect, true);
        check("[::ffff:192.0.2.1]:5432", SocketAddrUse::TcpConnect, true);
        check("192.0.2.1:5433", SocketAddrUse::TcpConnect, false);
        check("192.0.2.2:5432", SocketAddrUse::TcpConnect, false);
        check("0.0.0.0:0", SocketAddrUse::TcpBind, true);
        check("[::]:0", SocketAddrUse::TcpBind, true);
        check("0.0.0.0:8080", SocketAddrUse::TcpBind, false);
        check("127.0.0.1:0", SocketAddrUse::TcpBind, false);
        check("0.0.0.0:0", SocketAddrUse::TcpListen, false);
        check("192.0.2.1:5432", SocketAddrUse::TcpAccept, false);
        check("192.0.2.1:5432", SocketAddrUse::UdpSend, false);
    }
}
