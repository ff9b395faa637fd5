//! Finding the addresses of granted names. Every address is looked at before anybody hears of it,
//! and one that is not allowed spoils the name.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use umbel_task::grants::Grants;
use umbel_task::grants::host::Host;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::WasiCtxView;
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::{
    Host as LookupHost, HostResolveAddressStream, ResolveAddressStream, add_to_linker as add,
};
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddress, Network};
use wasmtime_wasi::p2::{DynPollable, Pollable, SocketError, subscribe};
use wasmtime_wasi::runtime::AbortOnDropJoinHandle;

use super::Granted;
use super::sockets::{HasSockets, Pins, Sockets};
use crate::state::State;

/// Where names come from: the system, or a test.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// The addresses of a name at this moment.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's own resolver.
pub(crate) struct System;

#[async_trait]
impl Resolver for System {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Why a name has no address for a guest.
#[derive(Debug)]
pub(super) enum NoAddress {
    /// It has one that is not public, and that nobody named; or nobody granted it.
    Forbidden,
    /// It is no name.
    Invalid,
    Unknown,
}

/// The addresses of a host that was granted; all of them are allowed.
pub(super) async fn addresses(
    host: &Host,
    named: bool,
    grants: &Grants,
    resolver: &dyn Resolver,
) -> Result<Vec<IpAddr>, NoAddress> {
    let found = match host {
        Host::Address(address) => vec![*address],
        Host::Name(name) => resolver.resolve(name).await.map_err(|_| NoAddress::Unknown)?,
    };
    let found: Vec<IpAddr> = found.iter().map(IpAddr::to_canonical).collect();
    if found.is_empty() {
        return Err(NoAddress::Unknown);
    }
    match found.iter().all(|address| grants.may_reach(*address, named)) {
        true => Ok(found),
        false => Err(NoAddress::Forbidden),
    }
}

/// What `wasi:sockets/ip-name-lookup` gives out, one address after the other.
enum Found {
    Looking(AbortOnDropJoinHandle<Result<Vec<IpAddr>, ErrorCode>>),
    Done(Result<std::vec::IntoIter<IpAddr>, ErrorCode>),
}

#[async_trait]
impl Pollable for Found {
    async fn ready(&mut self) {
        if let Found::Looking(task) = self {
            let found = task.await;
            *self = Found::Done(found.map(Vec::into_iter));
        }
    }
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    add::<State, HasSockets>(linker, |state| Sockets(state))
}

impl LookupHost for Sockets<'_> {
    fn resolve_addresses(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> Result<Resource<ResolveAddressStream>, SocketError> {
        self.0.opened().0.table.get(&network)?;
        let looking = self.look_up(&name).map_err(code)?;
        let task = wasmtime_wasi::runtime::spawn(async { looking.await.map_err(code) });
        let found = self.0.opened().0.table.push(Found::Looking(task))?;
        Ok(Resource::new_own(found.rep()))
    }
}

impl Sockets<'_> {
    /// Begins to look for a granted name.
    pub(super) fn look_up(
        &mut self,
        name: &str,
    ) -> Result<impl Future<Output = Result<Vec<IpAddr>, NoAddress>> + Send + use<>, NoAddress>
    {
        let granted = self.0.granted.clone();
        let (_, opened) = self.0.surroundings();
        let host = name.parse::<IpAddr>().map(|address| Host::Address(address.to_canonical()));
        let host = host.ok().or_else(|| Host::parse(name)).ok_or(NoAddress::Invalid)?;
        let ports = granted_ports(&granted.grants, &host);
        match ports.is_empty() {
            true => Err(NoAddress::Forbidden),
            false => Ok(look(granted, host, ports, opened.pins.clone())),
        }
    }
}

fn code(why: NoAddress) -> ErrorCode {
    match why {
        NoAddress::Forbidden => ErrorCode::AccessDenied,
        NoAddress::Invalid => ErrorCode::InvalidArgument,
        NoAddress::Unknown => ErrorCode::NameUnresolvable,
    }
}

/// Finds and pins.
async fn look(
    granted: Arc<Granted>,
    host: Host,
    ports: Vec<(u16, bool)>,
    pins: Arc<Pins>,
) -> Result<Vec<IpAddr>, NoAddress> {
    let named = ports.iter().all(|(_, named)| *named);
    let found = addresses(&host, named, &granted.grants, granted.resolver().as_ref()).await?;
    for (address, (port, _)) in found.iter().flat_map(|a| ports.iter().map(move |p| (a, p))) {
        pins.pin(*address, *port);
    }
    Ok(found)
}

/// The ports of a host that were granted, and whether the operator spelt the address out.
fn granted_ports(grants: &Grants, host: &Host) -> Vec<(u16, bool)> {
    let fitting = grants.sockets.iter().filter(|pattern| pattern.host.matches(host));
    fitting.map(|pattern| (pattern.port, pattern.host.spells_out(host))).collect()
}

impl HostResolveAddressStream for Sockets<'_> {
    fn resolve_next_address(
        &mut self,
        stream: Resource<ResolveAddressStream>,
    ) -> Result<Option<IpAddress>, SocketError> {
        let (WasiCtxView { table, .. }, _) = self.0.surroundings();
        let found: &mut Found = table.get_mut(&ours(&stream))?;
        if let Found::Looking(task) = found {
            match Pin::new(task).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(done) => *found = Found::Done(done.map(Vec::into_iter)),
                Poll::Pending => return Err(ErrorCode::WouldBlock.into()),
            }
        }
        match found {
            Found::Done(Ok(addresses)) => Ok(addresses.next().map(IpAddress::from)),
            Found::Done(Err(why)) => Err((*why).into()),
            Found::Looking(_) => Err(ErrorCode::WouldBlock.into()),
        }
    }

    fn subscribe(
        &mut self,
        stream: Resource<ResolveAddressStream>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        let (WasiCtxView { table, .. }, _) = self.0.surroundings();
        subscribe(table, ours(&stream))
    }

    fn drop(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<()> {
        let (WasiCtxView { table, .. }, _) = self.0.surroundings();
        table.delete(Resource::<Found>::new_own(stream.rep()))?;
        Ok(())
    }
}

/// The table holds our own type under the handle that guests know as WASI's.
fn ours(stream: &Resource<ResolveAddressStream>) -> Resource<Found> {
    Resource::new_borrow(stream.rep())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives these answers one after the other, as a name does that is bound anew.
    struct Answers(std::sync::Mutex<Vec<&'static [&'static str]>>);

    #[async_trait]
    impl Resolver for Answers {
        async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
            let mut answers = self.0.lock().expect("nobody panics");
            let answer = if answers.is_empty() { &[][..] } else { answers.remove(0) };
            Ok(answer.iter().map(|text| text.parse().expect("an address")).collect())
        }
    }

    fn answers(all: &[&'static [&'static str]]) -> Answers {
        Answers(std::sync::Mutex::new(all.to_vec()))
    }

    async fn found(host: &str, private: &[&str], resolver: &Answers) -> Option<usize> {
        let private = private.iter().map(|text| text.parse().expect("a network")).collect();
        let grants = Grants { private, ..Grants::default() };
        let host = Host::parse(host).expect("a host");
        addresses(&host, false, &grants, resolver).await.ok().map(|found| found.len())
    }

    #[tokio::test]
    async fn one_address_that_is_not_public_spoils_a_name() {
        let public: &[&str] = &["93.184.216.34", "2606:4700::1111"];
        assert_eq!(found("a.example", &[], &answers(&[public])).await, Some(2));
        for inner in ["127.0.0.1", "10.0.0.1", "::ffff:169.254.169.254", "fd00:ec2::254", "0.0.0.0"]
        {
            let mixed: &'static [&'static str] = Box::leak(Box::new(["93.184.216.34", inner]));
            assert_eq!(found("a.example", &[], &answers(&[mixed])).await, None, "{inner}");
        }
        assert_eq!(found("a.example", &[], &answers(&[&[]])).await, None, "no address at all");
        let inner: &[&str] = &["10.0.0.1"];
        assert_eq!(found("a.example", &["10.0.0.0/8"], &answers(&[inner])).await, Some(1));
    }

    #[tokio::test]
    async fn a_name_that_is_bound_anew_is_looked_at_anew() {
        let resolver = answers(&[&["93.184.216.34"], &["169.254.169.254"]]);
        assert_eq!(found("rebinds.example", &[], &resolver).await, Some(1));
        assert_eq!(found("rebinds.example", &[], &resolver).await, None);
    }
}
