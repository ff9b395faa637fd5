//! What remote control is told of a worker's settings, in Celery's names where there are any.

use umbel_protocol::control::Server;
use umbel_transport::address::{Address, Scheme};
use umbel_value::{Map, Value};
use umbel_worker::About;

use crate::settings::table::{Kind, setting};
use crate::settings::{Origin, Settings, Shown};

/// Everything; the settings' URLs are shown without their passwords.
pub(crate) fn about(settings: &Settings) -> About {
    let told = |shown: &Shown| (name(shown.key), value(shown));
    let made = settings.shown.iter().filter(|shown| shown.origin != Origin::Default);
    let mut own: Map = made.map(told).collect();
    // Flower and people look for it.
    own.entry("broker_url".to_owned()).or_insert_with(|| settings.broker.to_string().into());
    About {
        settings: own,
        all_settings: settings.shown.iter().map(told).collect(),
        broker: server(settings).to_value(),
        software: software(settings),
        time_limits: (settings.policy.sandbox.soft_time, Some(settings.policy.sandbox.time)),
    }
}

/// Celery's name, or ours in Celery's manner.
fn name(key: &'static str) -> String {
    match setting(key).celery {
        [celerys, ..] => (*celerys).to_owned(),
        [] => format!("umbel_{}", key.replace(['.', '-'], "_")),
    }
}

fn value(shown: &Shown) -> Value {
    let text = shown.value.as_str();
    match setting(shown.key).kind {
        _ if text.is_empty() => Value::Null,
        Kind::Count | Kind::Amount => text.parse().map_or_else(|_| text.into(), Value::Int),
        Kind::Switch => (text == "true").into(),
        Kind::List => text.split(',').map(|item| Value::from(item.trim())).collect(),
        _ => text.into(),
    }
}

fn server(settings: &Settings) -> Server {
    let address = &settings.broker;
    let (transport, heartbeat) = match address.scheme {
        Scheme::Redis => ("redis", 0.0),
        Scheme::Sqlite => ("sqlite", 0.0),
        Scheme::Amqp | Scheme::Rpc => ("amqp", settings.amqp.heartbeat.as_secs_f64()),
    };
    Server {
        transport,
        host: address.host.clone(),
        port: address.port,
        user: address.user.clone(),
        virtual_host: address.path.clone(),
        tls: address.tls,
        connect_timeout: settings.amqp.connect_timeout.as_secs_f64(),
        heartbeat,
        alternates: address.servers().iter().skip(1).map(Address::to_string).collect(),
    }
}

fn software(settings: &Settings) -> String {
    let system = rustix::system::uname();
    let results = settings.results.as_ref().map_or("disabled".into(), ToString::to_string);
    format!(
        "software -> umbel:{version}\n\
         platform -> system:{name} arch:{machine}\n\
         \x20           kernel version:{release} imp:wasm\n\
         settings -> transport:{broker} results:{results}",
        version = env!("CARGO_PKG_VERSION"),
        name = system.sysname().to_string_lossy(),
        machine = system.machine().to_string_lossy(),
        release = system.release().to_string_lossy(),
        broker = settings.broker,
    )
}
