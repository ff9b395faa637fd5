//! One attempt to reach one server: its URL in the client library's words, and TLS.

use std::io;

use lapin::tcp::{AMQPUriTcpExt, OwnedIdentity, OwnedTLSConfig};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Connection, ConnectionProperties};

use super::connection::Link;
use super::options::AmqpOptions;
use crate::address::{AUTHORITIES, Address, CERTIFICATE, KEY};
use crate::broker::BrokerError;

/// Dials the server in use.
pub(super) async fn dial(link: &Link, purpose: &str) -> Result<Connection, BrokerError> {
    let limit = link.options.connect_timeout;
    let address = link.address();
    let tls = tls(address)?;
    let runtime = lapin::runtime::default_runtime().map_err(|e| link.error("no runtime", e))?;
    let stream = async move |uri: AMQPUri, runtime| {
        let dialled = uri.connect_with_config_async(tls.as_ref(), &runtime);
        match tokio::time::timeout(limit, dialled).await {
            Ok(stream) => stream.map_err(lapin::Error::from),
            Err(_) => Err(lapin::Error::from(io::Error::from(io::ErrorKind::TimedOut))),
        }
    };
    let properties = properties(&link.options, purpose);
    let opening = Connection::connector(uri(address, &link.options), runtime, stream, properties);
    // The stream has its own limit; the handshake gets as much again.
    match tokio::time::timeout(limit * 2, opening).await {
        Ok(opened) => opened.map_err(|e| link.error("cannot open a connection", e)),
        Err(_) => Err(BrokerError::Unreachable {
            address: address.clone(),
            source: "the server accepts the connection but does not answer".into(),
        }),
    }
}

fn uri(address: &Address, options: &AmqpOptions) -> AMQPUri {
    let heartbeat = options.heartbeat.as_secs().clamp(1, u64::from(u16::MAX));
    AMQPUri {
        scheme: if address.tls { AMQPScheme::AMQPS } else { AMQPScheme::AMQP },
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo {
                username: address.user.clone().unwrap_or_else(|| "guest".into()),
                password: address.password().unwrap_or("guest").to_owned(),
            },
            host: address.host.clone(),
            port: address.port,
        },
        vhost: address.path.clone(),
        query: AMQPQueryString {
            heartbeat: u16::try_from(heartbeat).ok(),
            ..AMQPQueryString::default()
        },
    }
}

/// The library itself adds the capabilities, `consumer_cancel_notify` and
/// `authentication_failure_close` among them.
fn properties(options: &AmqpOptions, purpose: &str) -> ConnectionProperties {
    let version = env!("CARGO_PKG_VERSION");
    let name = format!("{} ({purpose})", options.name);
    ConnectionProperties::default()
        .with_client_property("product".into(), "umbel".into())
        .with_client_property("version".into(), version.into())
        .with_connection_name(name.into())
}

/// The files that the URL names, as kombu and the server's own URLs spell them.
fn tls(address: &Address) -> Result<OwnedTLSConfig, BrokerError> {
    let authorities = file(address, AUTHORITIES)?;
    let certificate = file(address, CERTIFICATE)?;
    // A file may hold both.
    let key = file(address, KEY)?.or_else(|| certificate.clone());
    let identity = match (certificate, key) {
        (Some(pem), Some(key)) => {
            Some(OwnedIdentity::PKCS8 { pem: pem.into_bytes(), key: key.into_bytes() })
        }
        (None, Some(_)) => {
            return Err(BrokerError::Other {
                what: format!("{address} comes with the key of a certificate, but without that"),
                source: "`ssl_keyfile` needs `ssl_certfile`".into(),
            });
        }
        (_, None) => None,
    };
    Ok(OwnedTLSConfig { identity, cert_chain: authorities })
}

fn file(address: &Address, parameters: &[&str]) -> Result<Option<String>, BrokerError> {
    let named = address.query.iter().rev().find(|(key, _)| parameters.contains(&key.as_str()));
    let Some((_, file)) = named else { return Ok(None) };
    std::fs::read_to_string(file).map(Some).map_err(|why| BrokerError::Other {
        what: format!("cannot read the certificates in `{file}`"),
        source: why.into(),
    })
}
