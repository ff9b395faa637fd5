//! Where traces go: our own setting, or else OpenTelemetry's own variables.

use std::path::PathBuf;
use std::time::Duration;

use super::Origin;
use super::sources::Found;

/// A collector of traces that speaks OTLP over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "opentelemetry"), allow(dead_code, reason = "nobody sends spans"))]
pub(crate) struct Collector {
    /// Where spans are posted to; it may hold a secret.
    pub(crate) url: String,
    /// It was named by a setting of ours, not only by a variable that other programs read as well.
    pub(crate) ours: bool,
    /// How long one request may take.
    pub(crate) timeout: Duration,
    /// Spans that may wait to be sent; more are dropped.
    pub(crate) queue: usize,
    /// Certificates to trust beside the system's.
    pub(crate) certificate: Option<PathBuf>,
    /// The protocol that the environment asks for, if it is not the one we speak.
    pub(crate) foreign_protocol: Option<String>,
}

/// The variables that are read here, besides those that the SDK reads by itself.
pub(super) const VARIABLES: &[&str] = &[
    "OTEL_SDK_DISABLED",
    "OTEL_TRACES_EXPORTER",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
    "OTEL_BSP_MAX_QUEUE_SIZE",
];

/// How spans are sent, as the variables name it.
pub(crate) const PROTOCOL: &str = "http/protobuf";

/// Where spans go on a collector's address.
const PATH: &str = "/v1/traces";

/// So many spans are some ten megabytes.
const QUEUE: usize = 8192;

/// What the collector is, if there is one, and the text that says so with its origin.
pub(super) fn collector(own: Found, variables: &[(String, String)]) -> (Option<Collector>, Found) {
    let variable = |name: &str| {
        let found = variables.iter().find(|(n, value)| n == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    };
    let is = |name: &str, word: &str| {
        variable(name).is_some_and(|value| value.trim().eq_ignore_ascii_case(word))
    };
    let off = [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")];
    let off = off.into_iter().find(|(name, word)| is(name, word));
    let from = |text: &str, name: &str| Found {
        key: own.key,
        text: text.to_owned(),
        origin: Origin::Variable(name.to_owned()),
    };
    if let Some((name, _)) = off {
        return (None, from("", name));
    }
    let (of_traces, of_all) = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT");
    let (url, found) = if !own.text.is_empty() {
        (with_path(&own.text), own)
    } else if let Some(url) = variable(of_traces) {
        (url.to_owned(), from(url, of_traces))
    } else if let Some(url) = variable(of_all) {
        (with_path(url), from(url, of_all))
    } else {
        return (None, own);
    };
    let first = |names: [&str; 2]| names.into_iter().find_map(variable);
    let number = |text: Option<&str>| text.and_then(|text| text.trim().parse::<u64>().ok());
    let timeout = first(["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"]);
    let queue = number(variable("OTEL_BSP_MAX_QUEUE_SIZE")).filter(|queue| *queue > 0);
    let certificate =
        first(["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"]);
    let protocol = first(["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"]);
    let foreign = protocol.map(str::trim).filter(|protocol| *protocol != PROTOCOL);
    let collector = Collector {
        url,
        ours: found.origin != Origin::Variable(of_traces.to_owned())
            && found.origin != Origin::Variable(of_all.to_owned()),
        timeout: Duration::from_millis(number(timeout).unwrap_or(10_000)),
        queue: queue.and_then(|queue| usize::try_from(queue).ok()).unwrap_or(QUEUE),
        certificate: certificate.map(PathBuf::from),
        foreign_protocol: foreign.map(str::to_owned),
    };
    (Some(collector), found)
}

/// An address without the path gets it.
fn with_path(url: &str) -> String {
    let url = url.trim_end_matches('/');
    if url.ends_with(PATH) { url.to_owned() } else { format!("{url}{PATH}") }
}

/// Says what is wrong with the address of a collector; repeats nothing of it.
pub(crate) fn check(url: &str) -> Result<(), String> {
    let uri: http::Uri = url.parse().map_err(|_| "not a URL".to_owned())?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        _ => return Err("neither http:// nor https://".to_owned()),
    }
    match uri.authority() {
        Some(server) if server.as_str().contains('@') => {
            Err("a login inside the URL is not sent".to_owned())
        }
        Some(server) if !server.host().is_empty() => Ok(()),
        _ => Err("names no server".to_owned()),
    }
}

/// The way out of what [`check`] says.
pub(crate) const HELP: &str = "write http://HOST:4318 or https://HOST; keys go into \
                               OTEL_EXPORTER_OTLP_HEADERS";

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(own: &str, variables: &[(&str, &str)]) -> (Option<String>, String) {
        let origin = if own.is_empty() { Origin::Default } else { Origin::Flag("otlp-endpoint") };
        let own = Found { key: "otlp-endpoint", text: own.to_owned(), origin };
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let variables: Vec<_> = variables.iter().map(owned).collect();
        let (collector, found) = collector(own, &variables);
        (collector.map(|collector| collector.url), found.origin.to_string())
    }

    #[test]
    fn our_own_setting_beats_the_variables_and_the_one_for_traces_the_one_for_all() {
        let (all, traces) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        let both = [(all, "http://all:1/"), (traces, "http://traces:1/here")];
        let check = |own: &str, variables: &[(&str, &str)], url: Option<&str>, origin: &str| {
            let expected = (url.map(str::to_owned), origin.to_owned());
            assert_eq!(resolved(own, variables), expected, "{own} {variables:?}");
        };
        check("", &[], None, "default");
        check("http://h:4318", &both, Some("http://h:4318/v1/traces"), "--otlp-endpoint");
        check("http://h/v1/traces", &[], Some("http://h/v1/traces"), "--otlp-endpoint");
        check("", &both, Some("http://traces:1/here"), traces);
        check("", &both[..1], Some("http://all:1/v1/traces"), all);
        check("", &[(all, "")], None, "default");
        let disabled = ("OTEL_SDK_DISABLED", "True");
        check("http://h", &[disabled], None, "OTEL_SDK_DISABLED");
        check("", &[both[0], ("OTEL_TRACES_EXPORTER", "none")], None, "OTEL_TRACES_EXPORTER");
    }

    #[test]
    fn what_cannot_be_a_collector_is_refused() {
        let refused =
            |url: &str, part: &str| assert!(check(url).is_err_and(|why| why.contains(part)));
        refused("nonsense", "neither");
        refused("ftp://h/", "neither");
        refused("http://user:secret@h/", "login");
        refused("http:// h", "not a URL");
        assert_eq!(check("https://h:4318/v1/traces"), Ok(()));
        assert_eq!(check("http://[::1]:4318"), Ok(()));
    }
}
