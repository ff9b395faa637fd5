//! `wasi:keyvalue` for guests: each key in its bucket's place, each call a request, each byte counted.
//! Whatever goes wrong is an answer to the guest.

mod bindings;

use std::sync::Arc;

use umbel_task::grants::Grants;
use umbel_task::grants::keyvalue::{
    KeyValue, KeyValueError, KeyValueGrant, KeyValueStores, MOST_KEYS, Place, Room, Values,
};
use wasmtime::component::{HasSelf, Linker, Resource, ResourceTableError};

use self::bindings::wasi::keyvalue::store::{Error, KeyResponse};
use self::bindings::wasi::keyvalue::{atomics, batch, store};
use crate::load::Refusal;
use crate::meter::{Exceeded, Meter};
use crate::state::State;

/// A plugin's store.
pub(super) struct Kept {
    store: Arc<dyn KeyValue>,
    grant: KeyValueGrant,
}

/// An open bucket as the run's table holds it.
#[expect(unreachable_pub, reason = "generated code gives it a second name")]
pub struct Bucket(Place);

/// What a call gives when it gives no value.
pub(crate) enum Failed {
    /// The guest is told.
    Told(Error),
    /// The run ends.
    Ends(wasmtime::Error),
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    store::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    atomics::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    batch::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

impl Kept {
    /// The store of a plugin, if it was granted one. Nobody is connected to yet.
    pub(super) fn of(
        grants: &Grants,
        stores: Option<&dyn KeyValueStores>,
    ) -> Result<Option<Arc<Self>>, Refusal> {
        let Some(grant) = &grants.keyvalue else { return Ok(None) };
        let stores = stores.ok_or("there is none here".to_owned());
        match stores.and_then(|stores| stores.open(&grant.url)) {
            Ok(store) => Ok(Some(Arc::new(Self { store, grant: grant.clone() }))),
            Err(why) => {
                let what = format!("was granted a key-value store that cannot be used: {why}");
                Err((what, Some("correct `keyvalue` in its `allow`".to_owned())))
            }
        }
    }

    /// Bytes of all values of a batch, unless a single one may have more.
    const LARGEST_BATCH: u64 = 8 << 20;

    fn room(&self) -> Room {
        let each = self.grant.max_value;
        Room { each, all: each.max(Self::LARGEST_BATCH) }
    }
}

/// One call on one bucket.
struct Asked {
    kept: Arc<Kept>,
    place: Place,
    meter: Arc<Meter>,
}

impl Asked {
    fn key(&self, key: &str) -> Result<String, Failed> {
        let stored = self.place.key(key).map_err(told)?;
        self.count(key.len())?;
        Ok(stored)
    }

    fn keys(&self, keys: &[String]) -> Result<Vec<String>, Failed> {
        not_too_many(keys.len())?;
        keys.iter().map(|key| self.key(key)).collect()
    }

    fn pair(&self, key: &str, value: Vec<u8>) -> Result<(String, Vec<u8>), Failed> {
        let (length, most) = (value.len(), self.kept.grant.max_value);
        if length as u64 > most {
            return Err(told(format!("the value has {length} bytes, and may have {most}")));
        }
        let key = self.key(key)?;
        self.count(length)?;
        Ok((key, value))
    }

    fn count(&self, bytes: usize) -> Result<(), Failed> {
        self.meter.request_bytes(bytes as u64).map_err(|Exceeded(what)| told(what))
    }
}

impl State {
    /// Counts the request.
    fn asked(&mut self, bucket: &Resource<Bucket>) -> Result<Asked, Failed> {
        let (view, _) = self.surroundings();
        let place = view.table.get(bucket)?.0.clone();
        let kept = self.granted.keyvalue.clone().ok_or(Failed::Told(Error::NoSuchStore))?;
        self.meter.request().map_err(|Exceeded(what)| told(what))?;
        Ok(Asked { kept, place, meter: self.meter.clone() })
    }

    async fn read(&mut self, asked: &Asked, keys: &[String]) -> Result<Values, Failed> {
        let (stored, room) = (asked.keys(keys)?, asked.kept.room());
        if stored.is_empty() {
            return Ok(Vec::new());
        }
        let values = asked.kept.store.get(stored, room).await;
        let values = self.answered(values)?;
        asked.count(values.iter().flatten().map(Vec::len).sum())?;
        Ok(values)
    }

    /// The operator is told what a store refuses; once a run is enough.
    fn answered<T>(&mut self, answer: Result<T, KeyValueError>) -> Result<T, Failed> {
        if let Err(KeyValueError::Refused(why)) = &answer {
            let (_, opened) = self.surroundings();
            if !std::mem::replace(&mut opened.told_of_store, true) {
                self.journal.warn(format!("the key-value store refused a call: {why}"));
            }
        }
        answer.map_err(|error| told(error.to_string()))
    }
}

impl store::Host for State {
    async fn open(&mut self, identifier: String) -> Result<Resource<Bucket>, Failed> {
        let granted = self.granted.clone();
        let (view, _) = self.surroundings();
        let place = granted.keyvalue.as_ref().and_then(|kept| kept.grant.place(&identifier));
        let place = place.ok_or(Failed::Told(Error::NoSuchStore))?;
        Ok(view.table.push(Bucket(place))?)
    }

    fn convert_error(&mut self, failed: Failed) -> wasmtime::Result<Error> {
        match failed {
            Failed::Told(error) => Ok(error),
            Failed::Ends(error) => Err(error),
        }
    }
}

impl store::HostBucket for State {
    async fn get(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
    ) -> Result<Option<Vec<u8>>, Failed> {
        let asked = self.asked(&bucket)?;
        Ok(self.read(&asked, &[key]).await?.pop().flatten())
    }

    async fn set(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        value: Vec<u8>,
    ) -> Result<(), Failed> {
        let asked = self.asked(&bucket)?;
        let pair = asked.pair(&key, value)?;
        let set = asked.kept.store.set(vec![pair]).await;
        self.answered(set)
    }

    async fn delete(&mut self, bucket: Resource<Bucket>, key: String) -> Result<(), Failed> {
        let asked = self.asked(&bucket)?;
        let key = asked.key(&key)?;
        let deleted = asked.kept.store.delete(vec![key]).await;
        self.answered(deleted)
    }

    async fn exists(&mut self, bucket: Resource<Bucket>, key: String) -> Result<bool, Failed> {
        let asked = self.asked(&bucket)?;
        let key = asked.key(&key)?;
        let found = asked.kept.store.exists(key).await;
        self.answered(found)
    }

    async fn list_keys(
        &mut self,
        bucket: Resource<Bucket>,
        cursor: Option<u64>,
    ) -> Result<KeyResponse, Failed> {
        let asked = self.asked(&bucket)?;
        let prefix = asked.place.prefix().to_owned();
        let page = asked.kept.store.list(prefix, cursor.unwrap_or(0)).await;
        let page = self.answered(page)?;
        let stored = page.keys.iter().filter_map(|key| asked.place.inner(key));
        let keys: Vec<String> = stored.map(str::to_owned).collect();
        asked.count(keys.iter().map(String::len).sum())?;
        Ok(KeyResponse { keys, cursor: page.next })
    }

    async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.surroundings().0.table.delete(bucket)?;
        Ok(())
    }
}

impl atomics::Host for State {
    async fn increment(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        delta: u64,
    ) -> Result<u64, Failed> {
        let asked = self.asked(&bucket)?;
        let key = asked.key(&key)?;
        let sum = asked.kept.store.increment(key, delta).await;
        self.answered(sum)
    }
}

impl batch::Host for State {
    async fn get_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Result<Vec<Option<(String, Vec<u8>)>>, Failed> {
        let asked = self.asked(&bucket)?;
        let values = self.read(&asked, &keys).await?;
        let pair = |(key, value): (String, Option<Vec<u8>>)| value.map(|value| (key, value));
        Ok(keys.into_iter().zip(values).map(pair).collect())
    }

    async fn set_many(
        &mut self,
        bucket: Resource<Bucket>,
        key_values: Vec<(String, Vec<u8>)>,
    ) -> Result<(), Failed> {
        let asked = self.asked(&bucket)?;
        not_too_many(key_values.len())?;
        let pairs = key_values.into_iter().map(|(key, value)| asked.pair(&key, value));
        let pairs = pairs.collect::<Result<Vec<_>, _>>()?;
        if pairs.is_empty() {
            return Ok(());
        }
        let set = asked.kept.store.set(pairs).await;
        self.answered(set)
    }

    async fn delete_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Result<(), Failed> {
        let asked = self.asked(&bucket)?;
        let keys = asked.keys(&keys)?;
        if keys.is_empty() {
            return Ok(());
        }
        let deleted = asked.kept.store.delete(keys).await;
        self.answered(deleted)
    }
}

fn not_too_many(keys: usize) -> Result<(), Failed> {
    match keys > MOST_KEYS {
        true => Err(told(format!("{keys} keys at once, where {MOST_KEYS} are the most"))),
        false => Ok(()),
    }
}

fn told(what: String) -> Failed {
    Failed::Told(Error::Other(what))
}

impl From<ResourceTableError> for Failed {
    fn from(error: ResourceTableError) -> Self {
        Failed::Ends(error.into())
    }
}
