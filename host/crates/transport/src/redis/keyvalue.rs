//! Plain keys and values, for whoever cannot wait: a server that is away is an error at once, or
//! after a few seconds. Which keys may be touched is the caller's to say.

use std::time::Duration;

use redis::{Cmd, FromRedisValue, RedisError, Value, cmd};
use tokio::time::{Instant, timeout_at};

use super::connection::{Fault, Link, Live, is_missing_script, new_batch, once};
use super::scripts;
use crate::address::Address;

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Keys that one step of a scan looks at.
const STEP: usize = 1000;

/// Steps of a scan in one call: a bucket may be small in a large database.
const STEPS: usize = 16;

/// A Redis server as a store of keys and values.
pub struct RedisKeyValue {
    link: Link,
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum KeyValueFault {
    /// The server cannot be reached, or does not answer; whether it did it is not known.
    #[error("cannot be reached")]
    Away,
    /// More would have been read than was allowed.
    #[error("a value is too large")]
    TooLarge,
    /// The key holds something else than a number, or the sum would be too large for one.
    #[error("no number")]
    NotANumber,
    /// In the server's words.
    #[error("{0}")]
    Refused(String),
}

impl RedisKeyValue {
    /// Connects when it is first asked for something. `Err` says what is wrong with the address.
    pub fn new(address: &Address) -> Result<RedisKeyValue, String> {
        let link = Link::later(address, address.query_value("master_name"));
        let link = link.map_err(|fault| fault.store(address).to_string())?;
        Ok(RedisKeyValue { link })
    }

    /// The value of each key: of at most `each` bytes, and `all` together. Cancel safe.
    pub async fn get(
        &self,
        keys: &[String],
        each: u64,
        all: u64,
    ) -> Result<Vec<Option<Vec<u8>>>, KeyValueFault> {
        let mut call = scripts::call(&scripts::READ, keys.iter().map(String::as_str));
        call.arg(each).arg(all);
        self.read(call, Repeat::IfLost).await
    }

    /// Sets all pairs at once.
    pub async fn set(&self, pairs: &[(String, Vec<u8>)]) -> Result<(), KeyValueFault> {
        let mut call = cmd("MSET");
        for (key, value) in pairs {
            call.arg(key).arg(value);
        }
        self.asked(call, Repeat::IfLost).await.map(drop)
    }

    /// Removes all of the keys at once.
    pub async fn delete(&self, keys: &[String]) -> Result<(), KeyValueFault> {
        let mut call = cmd("DEL");
        call.arg(keys);
        self.asked(call, Repeat::IfLost).await.map(drop)
    }

    /// Whether a key is there. Cancel safe.
    pub async fn exists(&self, key: &str) -> Result<bool, KeyValueFault> {
        let mut call = cmd("EXISTS");
        call.arg(key);
        self.read(call, Repeat::IfLost).await
    }

    /// Adds to a number; gives the sum.
    pub async fn increment(&self, key: &str, delta: u64) -> Result<u64, KeyValueFault> {
        let mut call = scripts::call(&scripts::INCREMENT, std::iter::once(key));
        call.arg(delta);
        // Twice would be another sum.
        self.read(call, Repeat::Never).await
    }

    /// Keys that begin with `prefix`, from a place that an earlier call named as the next; some of
    /// them, if there are any. Keys that are no text are left out. Cancel safe.
    pub async fn list(
        &self,
        prefix: &str,
        from: u64,
    ) -> Result<(Vec<String>, Option<u64>), KeyValueFault> {
        let (pattern, until) = (format!("{}*", literal(prefix)), soon());
        let mut at = from;
        for _ in 0..STEPS {
            let mut call = cmd("SCAN");
            call.arg(at).arg("MATCH").arg(&pattern).arg("COUNT").arg(STEP);
            let answer = self.asked_until(until, &call, Repeat::IfLost).await?;
            let (next, found): (u64, Vec<Vec<u8>>) = meant(answer)?;
            at = next;
            let texts = found.into_iter().filter_map(|key| String::from_utf8(key).ok());
            let keys: Vec<String> = texts.filter(|key| key.starts_with(prefix)).collect();
            if at == 0 || !keys.is_empty() {
                return Ok((keys, (at != 0).then_some(at)));
            }
        }
        Ok((Vec::new(), Some(at)))
    }

    async fn read<T: FromRedisValue>(&self, call: Cmd, repeat: Repeat) -> Result<T, KeyValueFault> {
        meant(self.asked(call, repeat).await?)
    }

    async fn asked(&self, call: Cmd, repeat: Repeat) -> Result<Value, KeyValueFault> {
        self.asked_until(soon(), &call, repeat).await
    }

    async fn asked_until(
        &self,
        until: Instant,
        call: &Cmd,
        repeat: Repeat,
    ) -> Result<Value, KeyValueFault> {
        // Twice: the first time may only tell that the connection was lost long ago.
        let mut asked = self.ask(until, call).await;
        if matches!(asked, Err(Lost)) && repeat == Repeat::IfLost {
            asked = self.ask(until, call).await;
        }
        asked.unwrap_or(Err(KeyValueFault::Away))
    }

    async fn ask(&self, until: Instant, call: &Cmd) -> Result<Result<Value, KeyValueFault>, Lost> {
        let live = match timeout_at(until, self.link.live_now()).await {
            Ok(Ok(live)) => live,
            Ok(Err(Fault::Refused(why))) => {
                return Ok(Err(KeyValueFault::Refused(why.to_string())));
            }
            Ok(Err(_)) | Err(_) => return Ok(Err(KeyValueFault::Away)),
        };
        match timeout_at(until, self.answer(live.clone(), call)).await {
            Ok(Ok(value)) => Ok(Ok(value)),
            Ok(Err(why)) if why.code().is_some() => Ok(Err(meaning(&why))),
            Ok(Err(why)) => {
                self.link.lost(&live, &why);
                Err(Lost)
            }
            Err(_) => {
                // Whoever comes next finds out on a new connection whether anybody is there.
                self.link.lost(&live, &std::io::Error::from(std::io::ErrorKind::TimedOut).into());
                Ok(Err(KeyValueFault::Away))
            }
        }
    }

    /// The server's answer, or its error, or that of the connection.
    async fn answer(&self, mut live: Live, call: &Cmd) -> Result<Value, RedisError> {
        let mut batch = new_batch();
        batch.add_command(call.clone());
        let mut answers = once(&mut live, &batch).await?;
        if answers.iter().any(is_missing_script) {
            self.link.reload(&live).await?;
            answers = once(&mut live, &batch).await?;
        }
        self.link.look_for_a_master(&live, &answers);
        answers.pop().unwrap_or(Ok(Value::Nil))
    }
}

/// Whether a call may be sent again when its answer was lost with the connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeat {
    IfLost,
    Never,
}

/// The connection broke before the answer came.
struct Lost;

/// When a call that begins now must have ended.
fn soon() -> Instant {
    Instant::now() + PATIENCE
}

fn meant<T: FromRedisValue>(answer: Value) -> Result<T, KeyValueFault> {
    T::from_redis_value(answer).map_err(|why| KeyValueFault::Refused(why.to_string()))
}

/// What an error that the server answered means; the connection is as good as before.
fn meaning(why: &RedisError) -> KeyValueFault {
    match why.code() {
        Some("TOOLARGE") => KeyValueFault::TooLarge,
        Some("NOTANUMBER") => KeyValueFault::NotANumber,
        _ => KeyValueFault::Refused(why.to_string()),
    }
}

/// A text that matches itself alone.
fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if "*?[]^\\-".contains(c) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_matches_itself_alone() {
        let check = |text: &str, expected: &str| assert_eq!(literal(text), expected);
        check("shop/carts/", "shop/carts/");
        check("*[a-z]?\\^", "\\*\\[a\\-z\\]\\?\\\\\\^");
    }
}
