//! Keys and values for whoever cannot wait.

use std::collections::BTreeSet;

use redis::AsyncCommands;
use umbel_harness::redis::RedisServer;
use umbel_transport::redis::{KeyValueFault, RedisKeyValue};

use super::{Database, address, client};

const PLENTY: u64 = 1 << 30;

fn store(url: &str) -> RedisKeyValue {
    RedisKeyValue::new(&address(url)).expect("a good address")
}

fn keys(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn value(text: &str) -> Option<Vec<u8>> {
    Some(text.as_bytes().to_vec())
}

#[tokio::test]
async fn a_list_has_every_key_of_a_prefix_once_and_no_other() {
    let database = Database::new();
    let (store, mut client) = (store(&database.url), database.client().await);
    let pairs = |prefix: &str, count: u32| -> Vec<(String, String)> {
        (0..count).map(|number| (format!("{prefix}{number}"), String::new())).collect()
    };
    for (prefix, count) in [("a*/", 2500), ("a", 3000), ("ab/", 1000), ("b/a*/", 500)] {
        let () = client.mset(&pairs(prefix, count)).await.expect("sets");
    }
    let () = client.set(b"a*/\xff\xfe", "no text").await.expect("sets");
    let (mut seen, mut from, mut pages) = (BTreeSet::new(), Some(0), 0);
    while let Some(at) = from {
        let (page, next) = store.list("a*/", at).await.expect("lists");
        seen.extend(page);
        (from, pages) = (next, pages + 1);
    }
    assert_eq!(seen, pairs("a*/", 2500).into_iter().map(|(key, _)| key).collect());
    assert!(pages > 1, "one page had them all");
    // Fewer than a page looks at, in a database of many: found all the same.
    let (page, _) = store.list("b/a*/49", 0).await.expect("lists");
    assert!(!page.is_empty());
}

#[tokio::test]
async fn more_than_there_is_room_for_is_not_read() {
    let store = store(&Database::new().url);
    let pairs = [("a".to_owned(), vec![0; 100]), ("b".to_owned(), vec![0; 100])];
    store.set(&pairs).await.expect("sets");
    let both = keys(&["a", "none", "b"]);
    let read = async |each, all| match store.get(&both, each, all).await {
        Ok(values) => Ok(values.iter().flatten().count()),
        Err(fault) => Err(fault.to_string()),
    };
    assert_eq!(read(100, 200).await, Ok(2));
    assert_eq!(read(99, 200).await, Err(KeyValueFault::TooLarge.to_string()));
    assert_eq!(read(100, 199).await, Err(KeyValueFault::TooLarge.to_string()));
}

#[tokio::test]
async fn scripts_that_the_server_forgot_are_told_again() {
    let database = Database::new();
    let (store, mut client) = (store(&database.url), database.client().await);
    assert_eq!(store.increment("n", 1).await.expect("counts"), 1);
    let () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut client).await.expect("flushes");
    assert_eq!(store.increment("n", 1).await.expect("counts"), 2);
}

#[tokio::test]
async fn a_server_that_comes_back_is_used_again() {
    let mut server = RedisServer::durable();
    let url = server.url(0);
    let store = store(&url);
    store.set(&[("a".to_owned(), b"kept".to_vec())]).await.expect("sets");
    server.kill();
    assert!(matches!(store.get(&keys(&["a"]), PLENTY, PLENTY).await, Err(KeyValueFault::Away)));
    assert!(matches!(store.increment("n", 1).await, Err(KeyValueFault::Away)));
    server.restart();
    let used = async {
        loop {
            if let Ok(values) = store.get(&keys(&["a"]), PLENTY, PLENTY).await {
                return values;
            }
            tokio::task::yield_now().await;
        }
    };
    let values = tokio::time::timeout(super::PATIENCE, used).await.expect("is used again");
    assert_eq!(values, [value("kept")]);
    let left: Option<String> = client(&url).await.get("n").await.expect("reads");
    assert_eq!(left, None, "what failed was not done later");
}
