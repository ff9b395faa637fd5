//! Results on Redis: one key a task, its changes told on the channel of the same name.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, Value, cmd};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use umbel_protocol::names;
use umbel_protocol::record::{ResultRecord, State};

use super::connection::{Fault, Link, fault, is_passing, is_refusal, new_batch};
use super::listeners::{Heard, Listeners};
use super::scripts;
use crate::address::Address;
use crate::results::{Reply, ResultStore, StoreError};

/// What Redis takes as one value unless it is told otherwise.
const LARGEST: usize = 512 << 20;

/// How long a server that went away is waited for, as long as Celery does.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long to wait when the server said "not now".
const PAUSE: Duration = Duration::from_millis(250);

/// How often to look for a result where the server cannot tell us.
const POLL: Duration = Duration::from_millis(500);

/// How often to look where it can: a message that was not heard is not missed for long.
const SECOND_LOOK: Duration = Duration::from_secs(5);

/// How long `close` waits for what is being stored.
const CLOSING: Duration = Duration::from_secs(10);

/// How results are kept.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// How long a result is kept; `None` is for ever.
    pub expires: Option<Duration>,
    /// Put before every key, with `_` between unless it ends with one of `:_-.`. The URL's query
    /// parameter of that name comes first.
    pub global_keyprefix: String,
}

impl Default for StoreOptions {
    fn default() -> Self {
        // Celery's `result_expires`.
        Self { expires: Some(Duration::from_secs(86_400)), global_keyprefix: String::new() }
    }
}

/// A Redis server as a result store.
pub struct RedisStore {
    link: Link,
    /// For subscriptions; opened when somebody waits.
    listening: OnceCell<Link>,
    listeners: Arc<Listeners>,
    prefix: String,
    /// 0 is for ever.
    seconds: u64,
    /// What is being stored.
    tasks: TaskTracker,
}

impl RedisStore {
    /// Connects; fails at once when the server cannot be reached or refuses us. Later losses are
    /// repaired inside.
    pub async fn connect(
        address: Address,
        options: StoreOptions,
    ) -> Result<RedisStore, StoreError> {
        let link = Link::open(&address, None).await.map_err(|fault| fault.store(&address))?;
        let prefix = address.query_value("global_keyprefix").unwrap_or(&options.global_keyprefix);
        Ok(RedisStore {
            link,
            listening: OnceCell::new(),
            listeners: Arc::default(),
            prefix: separated(prefix),
            // A fraction of a second must not become "for ever".
            seconds: options.expires.map_or(0, |expires| expires.as_secs().max(1)),
            tasks: TaskTracker::new(),
        })
    }

    fn key(&self, id: &str) -> String {
        format!("{}{}", self.prefix, names::result_key(id))
    }

    async fn command(&self, command: Cmd) -> Result<Value, Fault> {
        let mut batch = new_batch();
        batch.add_command(command);
        loop {
            match self.link.send(&batch).await?.pop() {
                Some(Ok(answer)) => return Ok(answer),
                None => return Ok(Value::Nil),
                Some(Err(why)) if is_passing(&why) => tokio::time::sleep(PAUSE).await,
                Some(Err(why)) if is_refusal(&why) => return Err(fault(why)),
                Some(Err(why)) => {
                    let what = "the Redis server refuses a command".into();
                    return Err(Fault::Other(what, why.into()));
                }
            }
        }
    }

    async fn store(&self, key: &str, text: &[u8]) -> Result<(), Fault> {
        const UNREADABLE: Value = Value::Int(2);
        let store = |regardless: bool| {
            let mut call = scripts::call(&scripts::STORE, [key].into_iter());
            call.arg(text).arg(self.seconds).arg(u8::from(regardless));
            self.command(call)
        };
        if store(false).await? != UNREADABLE {
            return Ok(());
        }
        // Another writer's order of keys, or compressed.
        let stands = self.read(key).await.ok().flatten();
        if stands.is_some_and(|record| record.state == State::Success) {
            return Ok(());
        }
        store(true).await.map(drop)
    }

    async fn read(&self, key: &str) -> Result<Option<ResultRecord>, Fault> {
        let mut read = cmd("GET");
        read.arg(key);
        match self.command(read).await? {
            Value::BulkString(text) => decode(&text).map(Some),
            _ => Ok(None),
        }
    }

    async fn listening(&self) -> Result<&Link, Fault> {
        self.listening
            .get_or_try_init(|| {
                let listeners = self.listeners.clone();
                let on_push = Arc::new(move |push| listeners.hear(push));
                Link::open(self.link.address(), Some(on_push))
            })
            .await
    }

    /// Subscribes, looks, and listens until the record is ready; `latest` is what was seen so far.
    async fn follow(&self, key: &str, latest: &mut Option<ResultRecord>) -> Result<(), Fault> {
        let link = self.listening().await?;
        loop {
            let mut live = link.live().await?;
            let (mut heard, stale) = self.listeners.listen(key);
            if live.pushes {
                if !stale.is_empty() {
                    let _ = live.connection.unsubscribe(stale).await;
                }
                if let Err(why) = live.connection.subscribe(key).await {
                    link.lost(&live, &why);
                    continue;
                }
            }
            let look_again = if live.pushes { SECOND_LOOK } else { POLL };
            // Subscribed first: what is stored after the first look is heard.
            let mut seen = self.read(key).await?;
            loop {
                if let Some(record) = seen.take() {
                    let ready = record.state.is_ready();
                    *latest = Some(record);
                    if ready {
                        return Ok(());
                    }
                }
                match tokio::time::timeout(look_again, heard.next()).await {
                    Ok(Some(Heard::Message(text))) => seen = Some(decode(&text)?),
                    Ok(Some(Heard::Lost) | None) => break,
                    Err(_) => seen = self.read(key).await?,
                }
            }
        }
    }
}

/// Until the server did it, or for as long as a server may be away.
pub(super) async fn patiently<T>(
    link: &Link,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, StoreError> {
    let done = match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(late) => Err(Fault::Unreachable(late.into())),
    };
    done.map_err(|fault| fault.store(link.address()))
}

#[async_trait]
impl ResultStore for RedisStore {
    async fn put(&self, record: &ResultRecord, _reply: &Reply) -> Result<(), StoreError> {
        let _busy = self.tasks.token();
        let text = record.to_json();
        if text.len() > LARGEST {
            let what =
                format!("a result of {} bytes is more than Redis takes (512 MiB)", text.len());
            return Err(StoreError::Unstorable { what });
        }
        patiently(&self.link, self.store(&self.key(&record.id), &text)).await
    }

    async fn get(&self, id: &str) -> Result<Option<ResultRecord>, StoreError> {
        patiently(&self.link, self.read(&self.key(id))).await
    }

    async fn wait(&self, id: &str, timeout: Duration) -> Result<Option<ResultRecord>, StoreError> {
        let end = Instant::now() + timeout;
        let mut latest = None;
        let followed = tokio::time::timeout_at(end, self.follow(&self.key(id), &mut latest)).await;
        match followed {
            Ok(Err(fault)) => Err(fault.store(self.link.address())),
            // Ready, or time is up.
            Ok(Ok(())) | Err(_) => Ok(latest),
        }
    }

    async fn reply_to(&self) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    async fn close(&self) {
        self.tasks.close();
        let _ = tokio::time::timeout(CLOSING, self.tasks.wait()).await;
        self.link.close();
        if let Some(link) = self.listening.get() {
            link.close();
        }
    }
}

fn decode(text: &[u8]) -> Result<ResultRecord, Fault> {
    let decoded = ResultRecord::from_json(text);
    decoded.map_err(|why| Fault::Other("cannot read a stored result".into(), why.into()))
}

/// Celery's rule for prefixes of results, which is not kombu's for queues.
fn separated(prefix: &str) -> String {
    match prefix.chars().last() {
        None | Some(':' | '_' | '-' | '.') => prefix.to_owned(),
        Some(_) => format!("{prefix}_"),
    }
}

#[cfg(test)]
mod tests {
    use super::separated;

    #[test]
    fn a_prefix_is_set_apart_once() {
        for (given, wanted) in
            [("", ""), ("x", "x_"), ("x_", "x_"), ("x:", "x:"), ("x-", "x-"), ("x.", "x.")]
        {
            assert_eq!(separated(given), wanted);
        }
    }
}
