//! What a server says it is.

use super::RedisOptions;
use super::connection::Link;
use crate::address::Address;
use crate::broker::BrokerError;

/// Connects, logs in and asks the server what it is (`Redis 7.0.15`).
pub async fn product(address: &Address, options: &RedisOptions) -> Result<String, BrokerError> {
    let asking = async {
        let options = options.clone().with_query(address)?;
        let link = Link::open(address, options.master_name.as_deref(), None).await?;
        let mut live = link.live().await?;
        let mut ask = redis::cmd("INFO");
        ask.arg("server");
        ask.query_async::<String>(&mut live.connection).await.map_err(super::connection::fault)
    };
    asking.await.map(|told| named(&told)).map_err(|fault| fault.broker(address))
}

/// Servers that took Redis's place still tell of a `redis_version`, that of the one they resemble.
fn named(told: &str) -> String {
    let field = |name: &str| {
        let mut lines = told.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| *key == name).map(|(_, value)| value.trim())
    };
    let others = [("valkey_version", "Valkey"), ("dragonfly_version", "Dragonfly")];
    let other = others.iter().find_map(|(key, name)| Some((*name, field(key)?)));
    let (name, version) = other.unwrap_or(("Redis", field("redis_version").unwrap_or_default()));
    format!("{name} {version}").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_called_by_its_own_name() {
        for (told, name) in [
            ("# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n", "Redis 7.0.15"),
            (
                "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.1\r\n",
                "Valkey 8.1.1",
            ),
            ("", "Redis"),
        ] {
            assert_eq!(named(told), name);
        }
    }
}
