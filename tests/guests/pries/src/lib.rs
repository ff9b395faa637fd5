//! Keeps things in a key-value store, and pries into what others keep there.

wit_bindgen::generate!({
    inline: "
        package guest:pries;
        interface tasks {
            get: func(bucket: string, key: string) -> result<option<string>, string>;
            put: func(bucket: string, key: string, value: string) -> result<_, string>;
            remove: func(bucket: string, key: string) -> result<_, string>;
            has: func(bucket: string, key: string) -> result<bool, string>;
            /// All keys, page after page.
            keys: func(bucket: string) -> result<list<string>, string>;
            /// How many keys one page has that begins anywhere.
            page: func(bucket: string, cursor: u64) -> result<u32, string>;
            add: func(bucket: string, key: string, delta: u64) -> result<u64, string>;
            get-many: func(bucket: string, keys: list<string>) -> result<list<option<string>>, string>;
            put-many: func(bucket: string, count: u32, value: string) -> result<_, string>;
            remove-many: func(bucket: string, count: u32) -> result<_, string>;
            /// Puts so many bytes.
            swell: func(bucket: string, key: string, bytes: u32) -> result<_, string>;
            /// How often it may ask.
            insist: func(bucket: string, count: u32) -> u32;
            /// Opens a bucket again and again and keeps it.
            hold: func(bucket: string, count: u32) -> u32;
        }
        world plugin {
            import wasi:keyvalue/store@0.2.0-draft;
            import wasi:keyvalue/atomics@0.2.0-draft;
            import wasi:keyvalue/batch@0.2.0-draft;
            export tasks;
        }
        package wasi:keyvalue@0.2.0-draft {
            interface store {
                variant error { no-such-store, access-denied, other(string) }
                record key-response { keys: list<string>, cursor: option<u64> }
                open: func(identifier: string) -> result<bucket, error>;
                resource bucket {
                    get: func(key: string) -> result<option<list<u8>>, error>;
                    set: func(key: string, value: list<u8>) -> result<_, error>;
                    delete: func(key: string) -> result<_, error>;
                    exists: func(key: string) -> result<bool, error>;
                    list-keys: func(cursor: option<u64>) -> result<key-response, error>;
                }
            }
            interface atomics {
                use store.{bucket, error};
                increment: func(bucket: borrow<bucket>, key: string, delta: u64) -> result<u64, error>;
            }
            interface batch {
                use store.{bucket, error};
                get-many: func(bucket: borrow<bucket>, keys: list<string>) -> result<list<option<tuple<string, list<u8>>>>, error>;
                set-many: func(bucket: borrow<bucket>, key-values: list<tuple<string, list<u8>>>) -> result<_, error>;
                delete-many: func(bucket: borrow<bucket>, keys: list<string>) -> result<_, error>;
            }
        }
    ",
    generate_all,
});

use wasi::keyvalue::store::{Bucket, Error, open};
use wasi::keyvalue::{atomics, batch};

struct Pries;
export!(Pries);

fn name(why: Error) -> String {
    match why {
        Error::NoSuchStore => "no such store".to_owned(),
        Error::AccessDenied => "access denied".to_owned(),
        Error::Other(what) => what,
    }
}

fn text(value: Vec<u8>) -> String {
    String::from_utf8_lossy(&value).into_owned()
}

fn opened(bucket: &str) -> Result<Bucket, String> {
    open(bucket).map_err(name)
}

fn numbered(count: u32) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("many-{number}"))
}

impl exports::guest::pries::tasks::Guest for Pries {
    fn get(bucket: String, key: String) -> Result<Option<String>, String> {
        Ok(opened(&bucket)?.get(&key).map_err(name)?.map(text))
    }

    fn put(bucket: String, key: String, value: String) -> Result<(), String> {
        opened(&bucket)?.set(&key, value.as_bytes()).map_err(name)
    }

    fn remove(bucket: String, key: String) -> Result<(), String> {
        opened(&bucket)?.delete(&key).map_err(name)
    }

    fn has(bucket: String, key: String) -> Result<bool, String> {
        opened(&bucket)?.exists(&key).map_err(name)
    }

    fn keys(bucket: String) -> Result<Vec<String>, String> {
        let (bucket, mut cursor, mut keys) = (opened(&bucket)?, None, Vec::new());
        loop {
            let page = bucket.list_keys(cursor).map_err(name)?;
            keys.extend(page.keys);
            cursor = page.cursor;
            if cursor.is_none() {
                keys.sort();
                keys.dedup();
                return Ok(keys);
            }
        }
    }

    fn page(bucket: String, cursor: u64) -> Result<u32, String> {
        let page = opened(&bucket)?.list_keys(Some(cursor)).map_err(name)?;
        Ok(page.keys.len() as u32)
    }

    fn add(bucket: String, key: String, delta: u64) -> Result<u64, String> {
        atomics::increment(&opened(&bucket)?, &key, delta).map_err(name)
    }

    fn get_many(bucket: String, keys: Vec<String>) -> Result<Vec<Option<String>>, String> {
        let values = batch::get_many(&opened(&bucket)?, &keys).map_err(name)?;
        Ok(values.into_iter().map(|pair| pair.map(|(_, value)| text(value))).collect())
    }

    fn put_many(bucket: String, count: u32, value: String) -> Result<(), String> {
        let pairs: Vec<_> = numbered(count).map(|key| (key, value.clone().into_bytes())).collect();
        batch::set_many(&opened(&bucket)?, &pairs).map_err(name)
    }

    fn remove_many(bucket: String, count: u32) -> Result<(), String> {
        let keys: Vec<String> = numbered(count).collect();
        batch::delete_many(&opened(&bucket)?, &keys).map_err(name)
    }

    fn swell(bucket: String, key: String, bytes: u32) -> Result<(), String> {
        opened(&bucket)?.set(&key, &vec![b'x'; bytes as usize]).map_err(name)
    }

    fn insist(bucket: String, count: u32) -> u32 {
        let Ok(bucket) = opened(&bucket) else { return 0 };
        (0..count).take_while(|_| bucket.get("key").is_ok()).count() as u32
    }

    fn hold(bucket: String, count: u32) -> u32 {
        let mut held = Vec::new();
        for _ in 0..count {
            match opened(&bucket) {
                Ok(bucket) => held.push(bucket),
                Err(_) => break,
            }
        }
        held.len() as u32
    }
}
