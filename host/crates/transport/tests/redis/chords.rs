//! Chords stand on the server as Celery 5.7 keeps them.

use std::time::Duration;

use redis::AsyncCommands;
use umbel_protocol::body::{Compression, Content, Serializer};
use umbel_protocol::chord::ChordPart;
use umbel_protocol::record::State;
use umbel_transport::redis::{RedisStore, StoreOptions};
use umbel_transport::results::{Joined, Reply, ResultStore};
use umbel_value::Value;

use super::formats::{at, bytes, commands, list, sample};
use super::results::record;
use super::{Database, address};

fn part(group: &str, index: u32) -> ChordPart {
    ChordPart {
        group: group.to_owned(),
        id: format!("task-{index}"),
        index: Some(index),
        state: State::Success,
        result: Value::Int(i64::from(index) * 10),
    }
}

async fn open(database: &Database, options: StoreOptions) -> RedisStore {
    RedisStore::connect(address(&database.url), options).await.expect("connects")
}

async fn join(store: &RedisStore, part: &ChordPart) -> Joined {
    store.join(part).await.expect("counts")
}

/// Compares what a recorded script was called with and what it left behind.
#[tokio::test(flavor = "multi_thread")]
async fn parts_are_counted_as_celery_counts_them() {
    for (name, ordered) in [("redis-run-chord", true), ("redis-conf-chord-unordered", false)] {
        let database = Database::new();
        let mut client = database.client().await;
        let options = StoreOptions { chord_ordered: ordered, ..StoreOptions::default() };
        let store = open(&database, options).await;
        let recorded = commands(&sample(name), "EVALSHA");
        let first = &recorded[0];
        let (keys, arguments) = (&first[3..9], &first[9..]);
        let group = keys[4].trim_start_matches("celery-taskset-meta-").to_owned();
        store.begin_chord(&group, 3).await.expect("begins");
        let size: String = client.get(&keys[2]).await.expect("answers");
        assert_eq!(size, "3");

        let member = Value::from_json(arguments[1].as_bytes()).expect("JSON");
        let sent = ChordPart {
            group: group.clone(),
            id: arguments[0].clone(),
            index: arguments[3].parse().ok(),
            state: State::Success,
            result: list(&member)[3].clone(),
        };
        assert_eq!(join(&store, &sent).await, Joined::Waiting);
        let counted: Vec<String> = client.smembers(&keys[3]).await.expect("answers");
        assert_eq!(counted, [format!("{}:{}", arguments[0], arguments[3])]);
        let stands: Vec<String> = match ordered {
            true => client.zrange(&keys[0], 0, -1).await.expect("answers"),
            false => client.lrange(&keys[0], 0, -1).await.expect("answers"),
        };
        assert_eq!(Value::from_json(stands[0].as_bytes()).expect("JSON"), member);
        for key in [&keys[0], &keys[2], &keys[3]] {
            let seconds: i64 = client.ttl(key).await.expect("answers");
            assert!((86_000..=86_400).contains(&seconds), "{key}: {seconds} s");
        }

        // Python's parts complete ours.
        for index in [7, 8] {
            let member = format!("[1, \"python-{index}\", \"SUCCESS\", {index}]");
            match ordered {
                true => client.zadd::<_, _, _, ()>(&keys[0], &member, index).await,
                false => client.rpush::<_, _, ()>(&keys[0], &member).await,
            }
            .expect("answers");
        }
        let Joined::Complete { claim, parts } = join(&store, &sent).await else {
            panic!("{name}: not complete")
        };
        let results: Vec<_> = parts.into_iter().map(|part| part.result).collect();
        assert_eq!(results, [sent.result.clone(), Value::Int(7), Value::Int(8)]);
        assert!(!client.exists::<_, bool>(&keys[5]).await.expect("answers"), "it is Celery's");
        let ours = format!("{}.umbel", keys[4]);
        let (token, seconds): (String, i64) =
            (client.get(&ours).await.expect("answers"), client.ttl(&ours).await.expect("answers"));
        assert_eq!(token, claim.token);
        assert!((5..=6).contains(&seconds), "a claim holds for {seconds} s");

        store.end_chord(&claim, true).await.expect("ends");
        let done: String = client.get(&keys[5]).await.expect("answers");
        assert_eq!(done, "done");
        let seconds: i64 = client.ttl(&keys[5]).await.expect("answers");
        assert!((299..=300).contains(&seconds), "{seconds} s");
        for key in keys[..4].iter().chain([&ours]) {
            assert!(!client.exists::<_, bool>(key).await.expect("answers"), "{key} is left");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chord_is_kept_as_long_as_it_is_told_to() {
    let database = Database::new();
    let mut client = database.client().await;
    for (expires, chord_expires, wanted) in
        [(Some(900), Some(60), 60), (Some(900), None, 900), (None, None, -1)]
    {
        let seconds = |seconds: Option<u64>| seconds.map(Duration::from_secs);
        let options = StoreOptions {
            expires: seconds(expires),
            chord_expires: seconds(chord_expires),
            global_keyprefix: "x".into(),
            ..StoreOptions::default()
        };
        let store = open(&database, options).await;
        let group = format!("kept-{wanted}");
        store.begin_chord(&group, 5).await.expect("begins");
        store.grow_chord(&group, 1).await.expect("grows");
        assert_eq!(join(&store, &part(&group, 0)).await, Joined::Waiting);
        for suffix in [".j", ".t", ".s", ".d"] {
            let key = format!("x_celery-taskset-meta-{group}{suffix}");
            let seconds: i64 = client.ttl(&key).await.expect("answers");
            assert!((wanted - 2..=wanted).contains(&seconds), "{key}: {seconds} s");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chord_of_an_older_celery_completes_without_its_new_keys() {
    let database = Database::new();
    let mut client = database.client().await;
    let store = open(&database, StoreOptions::default()).await;
    let key = "celery-taskset-meta-old";
    let _: () = client.set(format!("{key}.s"), 2).await.expect("answers");
    let member = r#"[1, "theirs", "SUCCESS", 5]"#;
    let _: () = client.zadd(format!("{key}.j"), member, 0).await.expect("answers");
    let joined = join(&store, &part("old", 1)).await;
    assert!(matches!(&joined, Joined::Complete { parts, .. } if parts.len() == 2), "{joined:?}");
    // It cleans up after itself without a word.
    let _: () = client
        .del(&[format!("{key}.s"), format!("{key}.j"), format!("{key}.t")])
        .await
        .expect("answers");
    assert_eq!(join(&store, &part("old", 1)).await, Joined::Waiting);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_cannot_be_read_fails_the_chord_instead_of_stopping_it() {
    let database = Database::new();
    let mut client = database.client().await;
    let store = open(&database, StoreOptions::default()).await;
    store.begin_chord("g", 2).await.expect("begins");
    let _: () = client.zadd("celery-taskset-meta-g.j", "\x00rubbish", 0).await.expect("answers");
    let Joined::Complete { parts, .. } = join(&store, &part("g", 1)).await else {
        panic!("not complete")
    };
    assert_eq!(parts[0].state, State::Failure);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_stands_as_python_saves_it() {
    let database = Database::new();
    let store = open(&database, StoreOptions::default()).await;
    let sample = sample("redis-group-save");
    let Value::Map(stored) = at(&sample, "result_backend") else { panic!("no mapping") };
    let (key, value) = stored
        .iter()
        .find(|(key, _)| key.starts_with("celery-taskset-meta-"))
        .expect("a saved group");
    let saved = Value::from_json(&bytes(value)).expect("JSON");
    let group = key.trim_start_matches("celery-taskset-meta-");
    store.save_group(group, at(&saved, "result")).await.expect("saves");
    let mut client = database.client().await;
    let stands: String = client.get(key).await.expect("answers");
    assert_eq!(Value::from_json(stands.as_bytes()).expect("JSON"), saved);
    let _: () = client.set(key, bytes(value)).await.expect("answers");
    let found = store.group(group).await.expect("reads");
    assert_eq!(found.as_ref(), Some(at(&saved, "result")));
}

#[tokio::test(flavor = "multi_thread")]
async fn results_and_parts_are_written_as_configured() {
    for serializer in Serializer::ALL {
        for compression in [None, Some(Compression::Zlib)] {
            let database = Database::new();
            let content = Content { serializer, compression };
            let options = StoreOptions { content, ..StoreOptions::default() };
            let store = open(&database, options).await;
            // Never over a success, whatever it is written in.
            let success = record("a", State::Success);
            for state in [State::Started, State::Success, State::Failure] {
                store.put(&record("a", state), &Reply::default()).await.expect("stores");
            }
            assert_eq!(store.get("a").await.expect("reads"), Some(success), "{content:?}");
            let mut client = database.client().await;
            let stored: Vec<u8> = client.get("celery-task-meta-a").await.expect("answers");
            assert_eq!(stored.starts_with(b"\0celery-compressed\0"), compression.is_some());

            store.begin_chord("g", 1).await.expect("begins");
            let joined = join(&store, &part("g", 0)).await;
            let Joined::Complete { parts, .. } = joined else { panic!("{joined:?}") };
            assert_eq!(parts, [part("g", 0)]);
            store.save_group("g", &Value::Int(1)).await.expect("saves");
            assert_eq!(store.group("g").await.expect("reads"), Some(Value::Int(1)));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn python_reads_what_is_written_as_configured() {
    for name in ["redis-conf-result-msgpack", "redis-conf-result-yaml", "redis-conf-result-gzip"] {
        let database = Database::new();
        let serializer = match name {
            "redis-conf-result-msgpack" => Serializer::Msgpack,
            "redis-conf-result-yaml" => Serializer::Yaml,
            _ => Serializer::Json,
        };
        let content = Content { serializer, compression: None };
        let store = open(&database, StoreOptions { content, ..StoreOptions::default() }).await;
        let sample = sample(name);
        let Value::Map(stored) = at(&sample, "result_backend") else { panic!("no mapping") };
        let mut client = database.client().await;
        let mut read = 0;
        for (key, value) in stored {
            let Some(id) = key.strip_prefix("celery-task-meta-") else { continue };
            let _: () = client.set(key, bytes(value)).await.expect("answers");
            let found = store.get(id).await.expect(name).expect("is there");
            assert_eq!(found.id, id, "{name}");
            read += 1;
        }
        assert!(read > 0, "{name} holds a result");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_may_be_kept_for_another_time() {
    let database = Database::new();
    let options =
        StoreOptions { failure_expires: Some(Duration::from_secs(60)), ..StoreOptions::default() };
    let store = open(&database, options).await;
    let mut client = database.client().await;
    for (id, state, wanted) in [("a", State::Failure, 60), ("b", State::Success, 86_400)] {
        store.put(&record(id, state), &Reply::default()).await.expect("stores");
        let seconds: i64 = client.ttl(format!("celery-task-meta-{id}")).await.expect("answers");
        assert!((wanted - 5..=wanted).contains(&seconds), "{id}: {seconds} s");
    }
}
