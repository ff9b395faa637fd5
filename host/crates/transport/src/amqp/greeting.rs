//! What a server says of itself before anybody logs in: its product and version.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::address::Address;
use crate::broker::BrokerError;

/// No greeting is longer.
const LONGEST: usize = 64 << 10;

/// Type, channel and size come before what a frame holds.
const HEAD: usize = 7;

/// Class, method and the version of the protocol come before the properties.
const START: usize = 6;

/// Asks the first server of an address what it is (`RabbitMQ 4.1.0`); `None` where the connection
/// would have to be encrypted first, or where it does not say.
pub async fn product(address: &Address, limit: Duration) -> Result<Option<String>, BrokerError> {
    if address.tls {
        return Ok(None);
    }
    let greeting = tokio::time::timeout(limit, greeting(address)).await;
    let greeting = greeting.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let greeting = greeting.map_err(|source| BrokerError::Unreachable {
        address: address.clone(),
        source: source.into(),
    })?;
    Ok(properties(&greeting))
}

async fn greeting(address: &Address) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
    stream.write_all(b"AMQP\x00\x00\x09\x01").await?;
    let mut head = [0; HEAD];
    stream.read_exact(&mut head).await?;
    let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
    let mut payload = vec![0; size.min(LONGEST)];
    stream.read_exact(&mut payload).await?;
    Ok(payload)
}

/// `product` and `version` of a `connection.start`.
fn properties(start: &[u8]) -> Option<String> {
    let mut rest = start.get(START..)?;
    let length = number(take(&mut rest, 4)?).min(rest.len());
    let mut table = take(&mut rest, length)?;
    let (mut product, mut version) = (None, None);
    while !table.is_empty() {
        let length = usize::from(*take(&mut table, 1)?.first()?);
        let name = take(&mut table, length)?;
        let kind = *take(&mut table, 1)?.first()?;
        let value = value(&mut table, kind)?;
        match name {
            b"product" => product = Some(text(value)),
            b"version" => version = Some(text(value)),
            _ => {}
        }
    }
    Some(format!("{} {}", product?, version.unwrap_or_default()).trim().to_owned())
}

/// The bytes of a field's value, as long as its kind says.
fn value<'a>(table: &mut &'a [u8], kind: u8) -> Option<&'a [u8]> {
    let length = match kind {
        b'S' | b'x' | b'F' | b'A' => number(take(table, 4)?),
        b't' | b'b' | b'B' => 1,
        b's' | b'u' | b'U' => 2,
        b'I' | b'i' | b'f' => 4,
        b'l' | b'L' | b'd' | b'T' => 8,
        b'D' => 5,
        b'V' => 0,
        _ => return None,
    };
    take(table, length)
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|letter| !letter.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(fields: &[u8]) -> Vec<u8> {
        let length = u32::try_from(fields.len()).expect("a few bytes").to_be_bytes();
        [&[0, 10, 0, 10, 0, 9], &length[..], fields].concat()
    }

    #[test]
    fn a_greeting_names_product_and_version_among_other_things() {
        let fields = [
            &b"\x0ccapabilitiesF\x00\x00\x00\x06\x03abct\x01"[..],
            b"\x07productS\x00\x00\x00\x08RabbitMQ",
            b"\x07versionS\x00\x00\x00\x054.1.0",
        ];
        assert_eq!(properties(&start(&fields.concat())).as_deref(), Some("RabbitMQ 4.1.0"));
        assert_eq!(properties(&start(fields[1])).as_deref(), Some("RabbitMQ"));
    }

    #[test]
    fn what_is_no_greeting_names_nothing() {
        for bytes in
            [&b""[..], b"HTTP/1.1 400", &start(b"\x07productS\xff\xff\xff\xff"), &start(b"")]
        {
            assert_eq!(properties(bytes), None, "{bytes:?}");
        }
    }
}
