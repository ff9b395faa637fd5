//! `wasi:sockets` of WASI 0.3: the same places, addresses and counters as in 0.2. The calls that make a
//! socket and that move bytes are here, the others are WASI's own, with our check of addresses in it.

use std::sync::Arc;

use wasmtime::component::{Access, Accessor, FutureReader, Linker, Resource, StreamReader};
use wasmtime::{AsContextMut, StoreContextMut};
use wasmtime_wasi::p3::bindings::sockets::ip_name_lookup::{self, ErrorCode as NameError};
use wasmtime_wasi::p3::bindings::sockets::types::{
    ErrorCode, HostTcpSocket, HostTcpSocketWithStore, IpAddress, IpAddressFamily,
};
use wasmtime_wasi::sockets::{TcpSocket, WasiSockets, WasiSocketsView};

use super::super::lookup::NoAddress;
use super::super::relay;
use super::{HasSockets, Sockets};
use crate::meter::Exceeded;
use crate::state::State;

type Socket = Resource<TcpSocket>;

/// What came of a stream.
type Outcome = FutureReader<Result<(), ErrorCode>>;

/// Puts the calls that are counted in the place of WASI's own.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    ip_name_lookup::add_to_linker::<State, HasSockets>(linker, |state| Sockets(state))?;
    let mut types = linker.instance("wasi:sockets/types@0.3.0")?;
    types.func_wrap("[static]tcp-socket.create", create)?;
    types.func_wrap("[method]tcp-socket.send", send)?;
    types.func_wrap("[method]tcp-socket.receive", receive)
}

fn create(
    mut store: StoreContextMut<'_, State>,
    (family,): (IpAddressFamily,),
) -> wasmtime::Result<(Result<Socket, ErrorCode>,)> {
    let state = store.data_mut();
    let place = match state.place() {
        Ok(place) => place,
        Err(Exceeded(what)) => return Ok((Err(ErrorCode::Other(Some(what))),)),
    };
    let socket = match HostTcpSocket::create(&mut state.sockets(), family) {
        Ok(socket) => socket,
        Err(error) => return Ok((Err(error.downcast()?),)),
    };
    state.opened().1.hold(socket.rep(), place);
    Ok((Ok(socket),))
}

fn send(
    mut store: StoreContextMut<'_, State>,
    (socket, data): (Socket, StreamReader<u8>),
) -> wasmtime::Result<(Outcome,)> {
    let count = counting(store.data_mut(), &socket);
    let (data, objection) = relay::watched(store.as_context_mut(), data, count)?;
    let own = Access::<_, WasiSockets>::new(store.as_context_mut(), State::sockets);
    let outcome = WasiSockets::send(own, socket, data)?;
    Ok((relay::outcome(store, outcome, objection)?,))
}

fn receive(
    mut store: StoreContextMut<'_, State>,
    (socket,): (Socket,),
) -> wasmtime::Result<((StreamReader<u8>, Outcome),)> {
    let count = counting(store.data_mut(), &socket);
    let own = Access::<_, WasiSockets>::new(store.as_context_mut(), State::sockets);
    let (data, outcome) = WasiSockets::receive(own, socket)?;
    let (data, objection) = relay::watched(store.as_context_mut(), data, count)?;
    Ok(((data, relay::outcome(store, outcome, objection)?),))
}

/// Counts what goes over a socket. It is open, and counted as open, for as long as one of its streams.
fn counting(
    state: &mut State,
    socket: &Socket,
) -> impl FnMut(u64) -> Result<(), ErrorCode> + Send + Unpin + use<> {
    let meter = Arc::clone(&state.meter);
    let place = state.opened().1.held(socket.rep());
    move |bytes| {
        let _open = &place;
        meter.request_bytes(bytes).map_err(|Exceeded(what)| ErrorCode::Other(Some(what)))
    }
}

impl ip_name_lookup::Host for Sockets<'_> {}

impl ip_name_lookup::HostWithStore<State> for HasSockets {
    async fn resolve_addresses(
        store: &Accessor<State, Self>,
        name: String,
    ) -> wasmtime::Result<Result<Vec<IpAddress>, NameError>> {
        let looking = store.with(|mut access| access.get().look_up(&name));
        let found = match looking {
            Ok(looking) => looking.await,
            Err(why) => Err(why),
        };
        Ok(match found {
            Ok(addresses) => Ok(addresses.into_iter().map(IpAddress::from).collect()),
            Err(NoAddress::Forbidden) => Err(NameError::AccessDenied),
            Err(NoAddress::Invalid) => Err(NameError::InvalidArgument),
            Err(NoAddress::Unknown) => Err(NameError::NameUnresolvable),
        })
    }
}
