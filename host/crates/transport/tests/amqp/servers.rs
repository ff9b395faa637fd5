//! Reaching a server, and being refused by one.

use std::time::{Duration, Instant};

use umbel_protocol::body::Serializer;
use umbel_protocol::record::{ResultRecord, State};
use umbel_transport::address::Address;
use umbel_transport::amqp::{AmqpBroker, AmqpOptions, RpcStore};
use umbel_transport::broker::{Broker, BrokerError};
use umbel_transport::results::{Reply, ResultStore, StoreError};
use umbel_value::Value;

use super::bench::*;

async fn refused(url: &str) -> BrokerError {
    let address = Address::parse(url).unwrap();
    match soon("connect", AmqpBroker::connect(address, AmqpOptions::default())).await {
        Ok(_) => panic!("connects to {url}"),
        Err(error) => error,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_refused_and_not_shown() {
    let node = shared().await;
    let error = refused(&node.url_as("guest", "sesame", "/")).await;
    assert!(matches!(error, BrokerError::Refused { .. }), "{error:?}");
    assert!(told(&error).contains("ACCESS_REFUSED"), "{}", told(&error));
    assert!(!told(&error).contains("sesame") && !format!("{error:?}").contains("sesame"));

    let address = Address::parse(&node.url_as("guest", "sesame", "/")).unwrap();
    let store = RpcStore::connect(address, AmqpOptions::default()).await;
    assert!(matches!(store, Err(StoreError::Refused { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_virtual_host_is_refused_by_its_name() {
    let error = refused(&shared().await.url("nowhere")).await;
    assert!(matches!(error, BrokerError::Refused { .. }), "{error:?}");
    assert!(told(&error).contains("vhost nowhere not found"), "{}", told(&error));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_unreachable_at_once() {
    let port = umbel_harness::net::free_port();
    let error = refused(&format!("amqp://guest:sesame@127.0.0.1:{port}//")).await;
    assert!(matches!(error, BrokerError::Unreachable { .. }), "{error:?}");
    assert!(told(&error).contains("refused") && !told(&error).contains("sesame"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_answer_is_given_up() {
    // Accepts, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let address = Address::parse(&format!("amqp://127.0.0.1:{port}//")).unwrap();
    let options =
        AmqpOptions { connect_timeout: Duration::from_millis(200), ..AmqpOptions::default() };
    let begin = Instant::now();
    let error = soon("connect", AmqpBroker::connect(address, options)).await.err().unwrap();
    assert!(matches!(error, BrokerError::Unreachable { .. }), "{error:?}");
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_of_its_own_and_a_virtual_host_work() {
    let bench = Bench::start().await;
    let (node, vhost) = (bench.node, bench.vhost.clone());
    blocking(move || node.add_user("anna", "secret", &vhost)).await;
    let broker = connect(&node.url_as("anna", "secret", &bench.vhost)).await;
    publish(&broker, "q", "x").await;
    assert_eq!(bench.depth("q").await, (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_connects_to_a_server_whose_authority_is_known() {
    let node = shared().await;
    let broker = connect(&node.tls_url("/")).await;
    let queue = format!("tls-{}", node.port());
    let mut consumer = consume(&broker, &[&queue], 1).await;
    publish(&broker, &queue, "secret").await;
    let delivery = next(&mut consumer).await;
    assert_eq!(body(&delivery), "secret");
    ack(delivery).await;
    broker.close().await;

    let url = node.tls_url("/");
    let unknown = url.split_once('?').unwrap().0;
    let error = refused(unknown).await;
    assert!(matches!(error, BrokerError::Unreachable { .. }), "{error:?}");
    assert!(told(&error).to_lowercase().contains("certificate"), "{}", told(&error));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_that_nobody_waits_for_is_dropped() {
    let bench = Bench::start().await;
    let address = Address::parse(&bench.url()).unwrap();
    let store = RpcStore::connect(address, AmqpOptions::default()).await.unwrap();
    let record =
        ResultRecord::from_json(br#"{"status": "SUCCESS", "result": 5, "task_id": "t"}"#).unwrap();
    let nobody = Reply::default();
    soon("put", store.put(&record, &nobody)).await.unwrap();
    let gone = Reply { reply_to: Some("gone".into()), correlation_id: "t".into() };
    soon("put", store.put(&record, &gone)).await.unwrap();

    // Nothing was declared for it.
    let (_connection, channel) = bench.plain().await;
    let passive = lapin::options::QueueDeclareOptions {
        passive: true,
        ..lapin::options::QueueDeclareOptions::default()
    };
    let table = lapin::types::FieldTable::default();
    assert!(channel.queue_declare("gone".into(), passive, table).await.is_err());
    soon("close", store.close()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_shows_a_certificate_to_a_server_that_asks_for_one() {
    let node = shared().await;
    let known = blocking(|| node.url_for_the_known("/")).await;
    let (anybody, own) = known.split_once('&').unwrap();
    let error = refused(anybody).await;
    assert!(matches!(error, BrokerError::Unreachable { .. }), "{error:?}");
    connect(&known).await.close().await;
    connect(&format!("{anybody}&{}", own.replace("ssl_", ""))).await.close().await;
    let (_, key) = own.split_once('&').unwrap();
    let keyless = refused(&format!("{anybody}&{key}")).await;
    assert!(told(&keyless).contains("`ssl_keyfile` needs `ssl_certfile`"), "{}", told(&keyless));
    let missing = refused(&known.replace("client.pem", "nowhere.pem")).await;
    assert!(told(&missing).contains("nowhere.pem"), "{}", told(&missing));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_are_written_as_asked_for_and_read_as_written() {
    let bench = Bench::start().await;
    let address = Address::parse(&bench.url()).unwrap();
    let options = AmqpOptions {
        result_serializer: Serializer::Msgpack,
        result_persistent: true,
        ..AmqpOptions::default()
    };
    let worker = RpcStore::connect(address.clone(), options).await.unwrap();
    let record = ResultRecord::new("t", State::Success, Value::Bytes(vec![0, 255]));
    let reply = |to: &str| Reply { reply_to: Some(to.into()), correlation_id: "t".into() };

    let client = RpcStore::connect(address, AmqpOptions::default()).await.unwrap();
    let oid = soon("the queue", client.reply_to()).await.unwrap().unwrap();
    soon("put", worker.put(&record, &reply(&oid))).await.unwrap();
    let read = soon("wait", client.wait("t", PATIENCE)).await.unwrap();
    assert_eq!(read, Some(record.clone()));

    let broker = bench.broker().await;
    let mut consumer = consume(&broker, &["replies"], 1).await;
    soon("put", worker.put(&record, &reply("replies"))).await.unwrap();
    let delivery = next(&mut consumer).await;
    let properties = &delivery.message.properties;
    assert_eq!(properties.content_type.as_deref(), Some("application/x-msgpack"));
    assert_eq!(properties.content_encoding.as_deref(), Some("binary"));
    assert_eq!(properties.delivery_mode, Some(2));
    ack(delivery).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_server_is_used_while_one_is_away() {
    let node = shared().await;
    let nobody = umbel_harness::net::free_port();
    let urls = format!("amqp://guest:sesame@127.0.0.1:{nobody}//;{}", node.url("/"));
    let broker = connect(&urls).await;
    let queue = format!("failover-{nobody}");
    let mut consumer = consume(&broker, &[&queue], 1).await;
    publish(&broker, &queue, "x").await;
    ack(next(&mut consumer).await).await;

    let second = umbel_harness::net::free_port();
    let error = refused(&format!("amqp://127.0.0.1:{nobody}//;amqp://127.0.0.1:{second}//")).await;
    assert!(matches!(error, BrokerError::Unreachable { .. }), "{error:?}");
}
