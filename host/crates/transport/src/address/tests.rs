//! Tables of addresses.

use super::{Address, AddressError, Scheme};

/// Parses and shows; the password stands in plain text behind the shown form.
fn check(url: &str, shown: &str, password: Option<&str>) {
    match Address::parse(url) {
        Ok(address) => {
            assert_eq!(address.to_string(), shown, "{url}");
            assert_eq!(format!("{address:?}"), shown, "{url}");
            assert_eq!(address.password(), password, "{url}");
        }
        Err(error) => panic!("{url}: {error}"),
    }
}

fn refused(url: &str) -> AddressError {
    match Address::parse(url) {
        Ok(address) => panic!("{url} was taken as {address}"),
        Err(error) => error,
    }
}

#[test]
fn amqp_urls_are_taken_in_every_form() {
    let guest = Some("guest");
    for (url, shown, password) in [
        ("amqp://", "amqp://guest:**@localhost:5672//", guest),
        ("pyamqp://", "amqp://guest:**@localhost:5672//", guest),
        ("amqp://host", "amqp://guest:**@host:5672//", guest),
        ("amqp://host/", "amqp://guest:**@host:5672//", guest),
        ("amqp://host//", "amqp://guest:**@host:5672//", guest),
        ("amqp://host/%2F", "amqp://guest:**@host:5672//", guest),
        ("amqp://HOST/vhost", "amqp://guest:**@host:5672/vhost", guest),
        ("amqp:///vhost", "amqp://guest:**@localhost:5672/vhost", guest),
        ("amqp://host:5673", "amqp://guest:**@host:5673//", guest),
        ("amqp://:5673", "amqp://guest:**@localhost:5673//", guest),
        ("amqp://me@host", "amqp://me:**@host:5672//", guest),
        ("amqp://user:p%40ss@host:5672/%2Fx", "amqp://user:**@host:5672//x", Some("p@ss")),
        ("amqp://user:a:b@host//", "amqp://user:**@host:5672//", Some("a:b")),
        ("amqp://user:a@b@host//", "amqp://user:**@host:5672//", Some("a@b")),
        ("amqp://u%3Aser:pw@host//", "amqp://u%3Aser:**@host:5672//", Some("pw")),
        ("amqp://host/a%20b", "amqp://guest:**@host:5672/a%20b", guest),
        ("amqps://host", "amqps://guest:**@host:5671//", guest),
        ("AMQPS://host:443/v", "amqps://guest:**@host:443/v", guest),
        ("amqp://[::1]:5673/v", "amqp://guest:**@[::1]:5673/v", guest),
        ("amqp://[fe80::1]", "amqp://guest:**@[fe80::1]:5672//", guest),
        (" amqp://host//\n", "amqp://guest:**@host:5672//", guest),
    ] {
        check(url, shown, password);
    }
}

#[test]
fn redis_urls_are_taken_in_every_form() {
    for (url, shown, password) in [
        ("redis://", "redis://localhost:6379/0", None),
        ("redis://host", "redis://host:6379/0", None),
        ("redis:///3", "redis://localhost:6379/3", None),
        ("redis://host:6380/12", "redis://host:6380/12", None),
        ("redis://:secret@host:6379/0", "redis://:**@host:6379/0", Some("secret")),
        ("redis://me:secret@host", "redis://me:**@host:6379/0", Some("secret")),
        ("redis://:p%2Fw%3F@host//2", "redis://:**@host:6379/2", Some("p/w?")),
        ("redis://:@host", "redis://host:6379/0", None),
        ("redis://:a;b@host", "redis://:**@host:6379/0", Some("a;b")),
        ("rediss://:s@[2001:db8::7]/1", "rediss://:**@[2001:db8::7]:6379/1", Some("s")),
        ("redis://host/3?global_keyprefix=x", "redis://host:6379/3", None),
    ] {
        check(url, shown, password);
    }
}

#[test]
fn sqlite_and_rpc_urls_are_taken() {
    for (url, shown) in [
        ("sqlite:///abs/path", "sqlite:///abs/path"),
        ("sqlite:////abs/path", "sqlite:///abs/path"),
        ("sqlite://rel.db", "sqlite://rel.db"),
        ("sqlite://dir/rel.db?x=1", "sqlite://dir/rel.db"),
        ("sqlite://a%20b.db", "sqlite://a%20b.db"),
        ("sqlite://", "sqlite://umbel.db"),
        ("rpc://", "rpc://"),
        ("rpc:///", "rpc://"),
    ] {
        check(url, shown, None);
    }
}

#[test]
fn several_servers_are_tried_in_their_order() {
    for (urls, shown) in [
        ("redis://a;redis://b:7/2", vec!["redis://a:6379/0", "redis://b:7/2"]),
        ("redis://:x@a ; rediss://:y@b;", vec!["redis://:**@a:6379/0", "rediss://:**@b:6379/0"]),
        ("amqp://a;amqps://b", vec!["amqp://guest:**@a:5672//", "amqps://guest:**@b:5671//"]),
        (
            "sentinel://:pw@a/1;sentinel://b",
            vec!["sentinel://:**@a:26379/1", "sentinel://b:26379/0"],
        ),
    ] {
        let address = Address::parse(urls).expect(urls);
        assert_eq!(address.to_string(), shown.join(";"));
        let alone: Vec<_> = address.servers().iter().map(ToString::to_string).collect();
        assert_eq!(alone, shown);
    }
    let one = Address::parse("redis://a").expect("it is valid");
    assert_eq!(one.servers(), std::slice::from_ref(&one));
}

#[test]
fn what_one_url_asks_for_holds_for_all() {
    let address = Address::parse("sentinel://a?x=1;sentinel://b;sentinel://c?master_name=m&x=2");
    let address = address.expect("it is valid");
    for (server, x) in address.servers().iter().zip(["1", "2", "2"]) {
        assert!(server.sentinel);
        assert_eq!(server.query_value("master_name"), Some("m"));
        assert_eq!(server.query_value("x"), Some(x), "{server}");
    }
}

#[test]
fn a_files_name_may_hold_anything() {
    check("sqlite:///a;b.db;", "sqlite:///a;b.db;", None);
}

#[test]
fn every_part_is_found() {
    let address = Address::parse("rediss://me:pw@H:1/2?a=b+c&global_keyprefix=x%3A&a=d&e");
    let address = address.expect("it is valid");
    assert_eq!(address.scheme, Scheme::Redis);
    assert!(address.tls);
    assert_eq!(address.user.as_deref(), Some("me"));
    assert_eq!((address.host.as_str(), address.port, address.path.as_str()), ("h", 1, "2"));
    let query: Vec<_> = address.query.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(query, [("a", "b c"), ("global_keyprefix", "x:"), ("a", "d"), ("e", "")]);
    assert_eq!(address.query_value("a"), Some("d"));
    assert_eq!(address.query_value("nothing"), None);
}

#[test]
fn what_is_no_address_is_refused_with_help() {
    for (url, what) in [
        ("", "has no scheme"),
        ("localhost", "has no scheme"),
        ("kafka://host", "`kafka://` is not a known kind"),
        ("redis+socket:///run/redis.sock", "`redis+socket://` is not supported"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite://:memory:", "in memory"),
        ("sqlite:///dir/", "names no file"),
        ("rpc://host", "takes no host"),
        ("amqp://a;b", "several servers"),
        ("amqp://a,b", "several servers"),
        ("amqp://a;redis://b", "of different kinds"),
        ("redis://a;sentinel://b", "of different kinds"),
        ("rpc://;rpc://", "of different kinds"),
        ("sqlite://a.db;sqlite://b.db", "of different kinds"),
        ("redis://a;kafka://b", "`kafka://` is not a known kind"),
        ("amqp://host:0", "the port is not a number"),
        ("amqp://host:70000", "the port is not a number"),
        ("amqp://[::1", "lacks its `]`"),
        ("amqp://::1/", "more than one `:`"),
        ("redis://host/db", "not a number"),
        ("amqp://%ff@host", "the user name of the URL is not UTF-8"),
    ] {
        let error = refused(url);
        assert!(error.what.contains(what), "{url}: {}", error.what);
        assert!(!error.help.is_empty(), "{url}");
        assert!(error.to_string().contains("\nhelp: "), "{url}");
    }
}

#[test]
fn a_malformed_url_never_shows_its_password() {
    for url in [
        "user:SECRET@host",
        "redis:/:SECRET@host",
        "redis//:SECRET@host",
        "user:SECRET://@host",
        "amqp://user:SECRET",
        "amqp://user:SE/SECRET@host/v",
        "amqp://user:12/SECRET@host/v",
        "amqp://user:SE?SECRET@host/v",
        "amqp://user:SE#SECRET@host/v",
        "amqp://user:SE[SECRET@host:x/v",
        "amqp://user:%ffSECRET@host/v",
        "redis://:SECRET@host:port/0",
        "redis://:SECRET@host/db",
        "redis://:SECRET@a;b/0",
        "redis://:SECRET@[::1/0",
        "redis://SECRET/a@host/0",
        "sentinel://:SECRET@host:port",
        "redis://a;redis://:SECRET@host:port",
        "redis://:SECRET@a;redis://b/db",
        "redis://:SECRET@a;kafka://b",
        "kafka://:SECRET@host",
        "rpc://:SECRET@host",
    ] {
        let error = refused(url);
        let shown = format!("{error} {error:?}").to_uppercase();
        assert!(!shown.contains("SECRET"), "{url}: {error}");
    }
}

#[test]
fn files_are_found_whichever_server_names_them() {
    for (url, expected) in [
        ("amqps://a//?ca_certs=/c.pem&heartbeat=5", &["/c.pem"][..]),
        ("rediss://a/0?ssl_certfile=/a.pem&ssl_keyfile=/a.key", &["/a.pem", "/a.key"]),
        ("amqps://a//?certfile=/a.pem;amqps://b//?cacertfile=/b.pem", &["/a.pem", "/b.pem"]),
        ("redis://a/0", &[]),
    ] {
        let address = Address::parse(url).expect(url);
        let mut files: Vec<&str> = address.files().collect();
        files.dedup();
        for file in expected {
            assert!(files.contains(file), "{url}: {files:?}");
        }
        assert!(files.iter().all(|file| expected.contains(file)), "{url}: {files:?}");
    }
}
