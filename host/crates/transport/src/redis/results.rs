//! Results on Redis: one key a task, its changes told on the channel of the same name.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, Pipeline, Value, cmd};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use umbel_protocol::body::Content;
use umbel_protocol::chord::{ChordPart, encode_group};
use umbel_protocol::names;
use umbel_protocol::record::{ResultRecord, State};
use umbel_value::Value as Tuple;

use super::connection::{Fault, Link, new_batch};
use super::listeners::{Heard, Listeners};
use super::publish::commanded;
use super::{chords, scripts};
use crate::address::Address;
use crate::results::{Claim, Joined, Reply, ResultStore, StoreError};

/// What Redis takes as one value unless it is told otherwise.
const LARGEST: usize = 512 << 20;

/// How long a server that went away is waited for, as long as Celery does.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often to look for a result where the server cannot tell us.
const POLL: Duration = Duration::from_millis(500);

/// How often to look where it can: a message that was not heard is not missed for long.
const SECOND_LOOK: Duration = Duration::from_secs(5);

/// How long `close` waits for what is being stored.
const CLOSING: Duration = Duration::from_secs(10);

/// How results are kept. Celery's settings of the same names.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// How results, parts of chords and groups are written, and read.
    pub content: Content,
    /// How long a result is kept; `None` is for ever.
    pub expires: Option<Duration>,
    /// How long a failure is kept, if not as long as the others.
    pub failure_expires: Option<Duration>,
    /// How long a chord's bookkeeping is kept, if not as long as results.
    pub chord_expires: Option<Duration>,
    /// How long joining a chord's parts may take; a claim holds twice as long, or five seconds.
    pub chord_join_timeout: Duration,
    /// A chord's parts are kept by position, not by when they came. The same for all workers.
    pub chord_ordered: bool,
    /// Put before every key, with `_` between unless it ends with one of `:_-.`. The URL's query
    /// parameter of that name comes first.
    pub global_keyprefix: String,
    /// The name that sentinels know the server by. The URL's query parameter comes first.
    pub master_name: Option<String>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            content: Content::default(),
            expires: Some(Duration::from_secs(86_400)),
            failure_expires: None,
            chord_expires: None,
            chord_join_timeout: Duration::from_secs(3),
            chord_ordered: true,
            global_keyprefix: String::new(),
            master_name: None,
        }
    }
}

/// A Redis server as a result store.
pub struct RedisStore {
    link: Link,
    /// For subscriptions; opened when somebody waits.
    listening: OnceCell<Link>,
    listeners: Arc<Listeners>,
    prefix: String,
    pub(super) options: StoreOptions,
    /// What is being stored.
    tasks: TaskTracker,
}

impl RedisStore {
    /// Connects; fails at once when the server cannot be reached or refuses us. Later losses are
    /// repaired inside.
    pub async fn connect(
        address: Address,
        mut options: StoreOptions,
    ) -> Result<RedisStore, StoreError> {
        if let Some(master) = address.query_value("master_name") {
            options.master_name = Some(master.to_owned());
        }
        let opening = Link::open(&address, options.master_name.as_deref(), None);
        let link = opening.await.map_err(|fault| fault.store(&address))?;
        let prefix = address.query_value("global_keyprefix").unwrap_or(&options.global_keyprefix);
        Ok(RedisStore {
            link,
            listening: OnceCell::new(),
            listeners: Arc::default(),
            prefix: separated(prefix),
            options,
            tasks: TaskTracker::new(),
        })
    }

    fn key(&self, id: &str) -> String {
        self.prefixed(&names::result_key(id))
    }

    pub(super) fn prefixed(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Until it is done, or for as long as a server may be away; `close` waits for it.
    pub(super) async fn patiently<T>(
        &self,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, StoreError> {
        let _busy = self.tasks.token();
        patiently(&self.link, work).await
    }

    pub(super) async fn command(&self, command: Cmd) -> Result<Value, Fault> {
        let mut batch = new_batch();
        batch.add_command(command);
        Ok(commanded(&self.link, &batch).await?.pop().unwrap_or(Value::Nil))
    }

    /// Sends commands until all were done.
    pub(super) async fn commands(&self, batch: &Pipeline) -> Result<Vec<Value>, Fault> {
        commanded(&self.link, batch).await
    }

    async fn store(&self, key: &str, text: &[u8], expires: Option<Duration>) -> Result<(), Fault> {
        const UNREADABLE: Value = Value::Int(2);
        let store = |regardless: bool| {
            let mut call = scripts::call(&scripts::STORE, [key].into_iter());
            call.arg(text).arg(seconds(expires)).arg(u8::from(regardless));
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
            Value::BulkString(text) => self.decode(&text).map(Some),
            _ => Ok(None),
        }
    }

    fn decode(&self, text: &[u8]) -> Result<ResultRecord, Fault> {
        let decoded = ResultRecord::decode(text, self.options.content.serializer);
        decoded.map_err(|why| Fault::Other("cannot read a stored result".into(), why.into()))
    }

    async fn listening(&self) -> Result<&Link, Fault> {
        self.listening
            .get_or_try_init(|| {
                let listeners = self.listeners.clone();
                let on_push = Arc::new(move |push| listeners.hear(push));
                let master = self.options.master_name.as_deref();
                Link::open(self.link.address(), master, Some(on_push))
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
                    Ok(Some(Heard::Message(text))) => seen = Some(self.decode(&text)?),
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
        let text = fitting(record.encode(self.options.content))?;
        let expires = match record.state {
            State::Failure => self.options.failure_expires.or(self.options.expires),
            _ => self.options.expires,
        };
        self.patiently(self.store(&self.key(&record.id), &text, expires)).await
    }

    async fn get(&self, id: &str) -> Result<Option<ResultRecord>, StoreError> {
        self.patiently(self.read(&self.key(id))).await
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

    async fn begin_chord(&self, group: &str, size: u32) -> Result<(), StoreError> {
        self.patiently(chords::begin(self, group, size)).await
    }

    async fn grow_chord(&self, group: &str, by: u32) -> Result<(), StoreError> {
        self.patiently(chords::grow(self, group, by)).await
    }

    async fn join(&self, part: &ChordPart) -> Result<Joined, StoreError> {
        let member = fitting(part.encode(self.options.content))?;
        self.patiently(chords::join(self, part, &member)).await
    }

    async fn extend_claim(&self, claim: &Claim, time: Duration) -> Result<bool, StoreError> {
        self.patiently(chords::extend(self, claim, time)).await
    }

    async fn end_chord(&self, claim: &Claim, sent: bool) -> Result<(), StoreError> {
        self.patiently(chords::end(self, claim, sent)).await
    }

    async fn save_group(&self, group: &str, tuple: &Tuple) -> Result<(), StoreError> {
        let written = encode_group(tuple, self.options.content);
        let text = written.map_err(|error| StoreError::Unstorable { what: error.to_string() })?;
        self.patiently(chords::save(self, group, &fitting(text)?)).await
    }

    async fn group(&self, group: &str) -> Result<Option<Tuple>, StoreError> {
        self.patiently(chords::saved(self, group)).await
    }

    fn refuses(&self, value: &Tuple) -> Option<String> {
        self.options.content.serializer.refuses(value).map(|error| error.0)
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

/// Seconds as our scripts take them: 0 is for ever. A fraction of a second must not become that.
pub(super) fn seconds(expires: Option<Duration>) -> u64 {
    expires.map_or(0, |expires| expires.as_secs().max(1))
}

/// What is not too large for one value.
fn fitting(bytes: Vec<u8>) -> Result<Vec<u8>, StoreError> {
    if bytes.len() > LARGEST {
        let what = format!("a result of {} bytes is more than Redis takes (512 MiB)", bytes.len());
        return Err(StoreError::Unstorable { what });
    }
    Ok(bytes)
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
