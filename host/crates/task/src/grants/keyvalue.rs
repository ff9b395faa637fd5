//! What a plugin may keep in a key-value store, where that lies, and the store as the engine sees it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;

/// Bytes of a key.
pub const LONGEST_KEY: usize = 1 << 10;

/// Keys of one batch, and about as many in one page of a list.
pub const MOST_KEYS: usize = 1000;

/// What stands between prefix, bucket and key. No prefix and no bucket's name holds one, so that the
/// first two in a stored key are ours, whatever a guest calls its key.
const BETWEEN: char = '/';

/// Buckets of one store, under a prefix that no guest can name or leave.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyValueGrant {
    /// May hold a password.
    pub url: String,
    pub prefix: Prefix,
    pub buckets: Vec<BucketName>,
    /// Bytes of one value.
    pub max_value: u64,
}

impl KeyValueGrant {
    /// Where the keys of a bucket are; `None` if it was not granted.
    pub fn place(&self, bucket: &str) -> Option<Place> {
        let bucket = self.buckets.iter().find(|granted| granted.0 == bucket)?;
        Some(Place(format!("{}{BETWEEN}{}{BETWEEN}", self.prefix.0, bucket.0)))
    }
}

impl fmt::Debug for KeyValueGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyValueGrant")
            .field("prefix", &self.prefix)
            .field("buckets", &self.buckets)
            .field("max_value", &self.max_value)
            .finish_non_exhaustive()
    }
}

/// What every key of a plugin begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        name(text).map(Self)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a guest calls a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketName(String);

impl FromStr for BucketName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        name(text).map(Self)
    }
}

fn name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-.:".contains(c);
    match text {
        "" => Err("it is empty".to_owned()),
        _ if text.len() > 200 => Err("it is longer than 200 bytes".to_owned()),
        _ if text.chars().all(fits) => Ok(text.to_owned()),
        _ => Err(format!("`{text}` holds more than letters, digits and `_-.:`")),
    }
}

/// The keys of one bucket. Two places have a key in common only if they are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(String);

impl Place {
    /// What the store calls a guest's key; `Err` says what is wrong with the key.
    pub fn key(&self, key: &str) -> Result<String, String> {
        match key.len() {
            0 => Err("the key is empty".to_owned()),
            1..=LONGEST_KEY => Ok(format!("{}{key}", self.0)),
            _ => Err(format!("the key has more than {LONGEST_KEY} bytes")),
        }
    }

    /// What the keys in it begin with, and no others.
    pub fn prefix(&self) -> &str {
        &self.0
    }

    /// What the guest calls a key of the store's; `None` if it lies elsewhere.
    pub fn inner<'a>(&self, stored: &'a str) -> Option<&'a str> {
        stored.strip_prefix(&self.0).filter(|key| (1..=LONGEST_KEY).contains(&key.len()))
    }
}

/// Some keys of a place, and where to go on; `None` at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub keys: Vec<String>,
    pub next: Option<u64>,
}

/// How much may be read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes of one value.
    pub each: u64,
    /// Bytes of all values together.
    pub all: u64,
}

/// A store and the names of the keys in it. Whoever calls has put each key into its place. Every call
/// ends within seconds, may be cancelled, and has then happened or not.
#[async_trait]
pub trait KeyValue: Send + Sync {
    /// The value of each key, in their order.
    async fn get(&self, keys: Vec<String>, room: Room) -> Result<Values, KeyValueError>;

    /// Sets all of them.
    async fn set(&self, pairs: Vec<(String, Vec<u8>)>) -> Result<(), KeyValueError>;

    /// Removes those that are there.
    async fn delete(&self, keys: Vec<String>) -> Result<(), KeyValueError>;

    async fn exists(&self, key: String) -> Result<bool, KeyValueError>;

    /// Adds to the number in a key, in one step; what is not there is 0.
    async fn increment(&self, key: String, delta: u64) -> Result<u64, KeyValueError>;

    /// About as many of the keys that begin with `prefix` as [`MOST_KEYS`]; `from` is where an
    /// earlier page says to go on. The names are the store's.
    async fn list(&self, prefix: String, from: u64) -> Result<Page, KeyValueError>;
}

/// The value of each key; `None` if it has none.
pub type Values = Vec<Option<Vec<u8>>>;

/// Finds the store that a grant names.
pub trait KeyValueStores: Send + Sync {
    /// Does not connect yet. `Err` says why there is no such store, without a password.
    fn open(&self, url: &str) -> Result<Arc<dyn KeyValue>, String>;
}

/// Why a store did not do something. What is said of it is for guests.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyValueError {
    #[error("the store cannot be reached")]
    Away,
    #[error("the value is larger than what may be read at once")]
    TooLarge,
    #[error("the value is no number, or would become too large for one")]
    NotANumber,
    /// Why, for the operator alone.
    #[error("the store refused it")]
    Refused(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(prefix: &str, buckets: &[&str]) -> KeyValueGrant {
        KeyValueGrant {
            url: "redis://:hidden@localhost".to_owned(),
            prefix: prefix.parse().expect(prefix),
            buckets: buckets.iter().map(|name| name.parse().expect(name)).collect(),
            max_value: 1,
        }
    }

    fn stored(prefix: &str, bucket: &str, key: &str) -> String {
        let place = grant(prefix, &[bucket]).place(bucket).expect("it was granted");
        place.key(key).expect("a good key")
    }

    #[test]
    fn no_key_leads_from_one_place_into_another() {
        let names = ["a", "ab", "a:b", "b", "a.b", "a:"];
        let keys = ["k", "/k", "b/k", "../b/k", "*", "a:b", "\0", "\n", "//"];
        let mut seen = std::collections::HashMap::new();
        for prefix in names {
            for bucket in names {
                let place = grant(prefix, &[bucket]).place(bucket).expect("it was granted");
                for key in keys {
                    let stored = stored(prefix, bucket, key);
                    assert_eq!(place.inner(&stored), Some(key));
                    let other = seen.insert(stored.clone(), (prefix, bucket, key));
                    assert_eq!(other, None, "{stored:?} is {prefix} {bucket} {key:?} as well");
                }
                let of_others =
                    seen.iter().filter(|(_, owner)| (owner.0, owner.1) != (prefix, bucket));
                for (stored, owner) in of_others {
                    assert_eq!(place.inner(stored), None, "{owner:?} is seen from {place:?}");
                }
            }
        }
    }

    #[test]
    fn a_key_has_a_name_and_not_a_long_one() {
        let place = grant("a", &["b"]).place("b").expect("it was granted");
        let check = |key: &str, expected: bool| {
            assert_eq!(place.key(key).is_ok(), expected, "{} bytes", key.len());
        };
        check("", false);
        check("k", true);
        check(&"k".repeat(LONGEST_KEY), true);
        check(&"k".repeat(LONGEST_KEY + 1), false);
    }

    #[test]
    fn only_granted_buckets_have_a_place() {
        let grant = grant("shop", &["carts"]);
        assert_eq!(stored("shop", "carts", "7"), "shop/carts/7");
        for bucket in ["", "cart", "carts/", "other", "../carts", "*"] {
            assert_eq!(grant.place(bucket), None, "{bucket}");
        }
    }

    #[test]
    fn a_name_cannot_hold_what_stands_between_names_or_what_matches_others() {
        for wrong in ["", "a/b", "/", "a*", "a?", "[a]", "a\\", "a b", "a\n", "ä", &"a".repeat(201)]
        {
            assert!(wrong.parse::<Prefix>().is_err(), "{wrong:?}");
            assert!(wrong.parse::<BucketName>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn no_password_is_shown() {
        assert!(!format!("{:?}", grant("a", &["b"])).contains("hidden"));
    }
}
