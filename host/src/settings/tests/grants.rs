//! `allow` in a plugin's table.

use umbel_task::grants::Access;

use super::*;

fn granted(allow: &str) -> Result<umbel_task::grants::Grants, Fault> {
    let file = format!("[plugins.p]\nallow = {{ {allow} }}");
    settings(&[], &[], &file).map(|settings| settings.plugins[0].grants.clone())
}

#[test]
fn every_grant_is_read() {
    let grants = granted(
        "sockets = ['tcp://db.example.com:5432'], private = ['10.0.0.0/8'], scratch = '64MiB', \
         env = { REGION = 'eu' }, config = { b = '2', a = '1' }, coarse-clock = '1ms', \
         dirs = [{ host = 'data', guest = '/data' }, \
                 { host = '/out', mode = 'rw', quota = '1MiB' }]",
    )
    .expect("a good file");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(grants.env, [pair("REGION", "eu")]);
    assert_eq!(grants.config, [pair("b", "2"), pair("a", "1")]);
    assert_eq!(
        (grants.scratch, grants.coarse_clock),
        (Some(64 << 20), Some(Duration::from_millis(1)))
    );
    let dirs: Vec<_> = grants
        .dirs
        .iter()
        .map(|dir| (dir.host.as_path(), dir.guest.as_str(), dir.access))
        .collect();
    assert_eq!(
        dirs,
        [
            (Path::new("conf/data"), "/data", Access::Read),
            (Path::new("/out"), "/out", Access::Write { quota: 1 << 20 }),
        ]
    );
    assert_eq!(
        grants.to_string(),
        "tcp:db.example.com:5432 dir:/data(ro) dir:/out(rw) scratch env:REGION config clock:1ms"
    );
}

#[test]
fn a_key_value_store_has_a_prefix_and_its_defaults() {
    let read = |more: &str| {
        let url = "redis://:secret@h/1";
        let grants = granted(&format!("keyvalue = {{ url = '{url}', prefix = 'shop'{more} }}"));
        let grants = grants.expect("a good file");
        assert_eq!(grants.to_string(), "keyvalue:shop");
        assert!(!format!("{grants:?}").contains("secret"), "{grants:?}");
        let keyvalue = grants.keyvalue.expect("it was granted");
        assert_eq!(keyvalue.url, url);
        keyvalue
    };
    let usual = read("");
    assert_eq!((usual.max_value, usual.buckets.len()), (1 << 20, 1));
    assert!(usual.place("default").is_some() && usual.place("carts").is_none());
    let own = read(", buckets = ['carts', 'seen'], max-value = '4KiB'");
    assert_eq!((own.max_value, own.buckets.len()), (4 << 10, 2));
    assert!(own.place("carts").is_some() && own.place("default").is_none());
}

#[test]
fn nothing_is_granted_by_saying_nothing() {
    assert_eq!(granted("submit = ['x']").expect("a good file"), Default::default());
}

#[test]
fn a_variable_is_passed_on_if_it_is_there() {
    let grants = granted("env = ['CARGO_MANIFEST_DIR', 'UMBEL_NOT_SET']").expect("a good file");
    let names: Vec<&str> = grants.env.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["CARGO_MANIFEST_DIR"]);
}

#[test]
fn a_wrong_grant_is_refused_with_its_place() {
    for (allow, what) in [
        ("sockets = ['db:5432']", ":2: `plugins.p.allow.sockets`: `db:5432` does not begin with"),
        ("sockets = 'tcp://db:1'", ":2: `plugins.p.allow.sockets` must be an array of texts"),
        ("private = ['10.0.0.0/99']", "is neither an address nor a range"),
        ("socket = []", ":2: unknown key `plugins.p.allow.socket`"),
        ("scratch = 64", ":2: `plugins.p.allow.scratch` has no unit"),
        ("dirs = ['/data']", "`plugins.p.allow.dirs` must be a table"),
        ("dirs = [{ guest = '/data' }]", "`plugins.p.allow.dirs.host` is missing"),
        ("dirs = [{ host = 'data' }]", "does not begin with `/`"),
        ("dirs = [{ host = '/d', mode = 'w' }]", "`w` is neither `ro` nor `rw`"),
        ("dirs = [{ host = '/d', quota = '1MiB' }]", "means nothing where nothing is written"),
        ("dirs = [{ host = '/d', mod = 'rw' }]", "unknown key `plugins.p.allow.dirs.mod`"),
        ("env = 'REGION'", "must be an array of texts"),
        ("keyvalue = {}", ":2: `plugins.p.allow.keyvalue.url` is missing"),
        ("keyvalue = 'redis://h'", "`plugins.p.allow.keyvalue` must be a table"),
        ("keyvalue = { url = 'redis://h' }", "`plugins.p.allow.keyvalue.prefix` is missing"),
        ("keyvalue = { url = 'redis://h', prefix = '' }", "keyvalue.prefix`: it is empty"),
        ("keyvalue = { url = 'redis://h', prefix = 'a/b' }", "holds more than letters"),
        ("keyvalue = { url = 'redis://h', prefix = 'a*' }", "holds more than letters"),
        ("keyvalue = { url = 'amqp://h', prefix = 'a' }", "keyvalue.url`: only Redis keeps"),
        ("keyvalue = { url = 'hidden', prefix = 'a' }", "keyvalue.url`: the URL has no scheme"),
        ("keyvalue = { url = 'redis://h', prefix = 'a', buckets = [''] }", "it is empty"),
        ("keyvalue = { url = 'redis://h', prefix = 'a', max-value = 5 }", "has no unit"),
        ("keyvalue = { uri = 'redis://h' }", "unknown key `plugins.p.allow.keyvalue.uri`"),
        ("config = { a = 1 }", "`plugins.p.allow.config.a` must be text"),
    ] {
        let fault = granted(allow).expect_err(allow);
        assert!(fault.what.contains(what), "{allow}: {fault}");
    }
}
