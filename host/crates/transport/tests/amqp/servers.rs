//! Reaching a server, and being refused by one.

use std::time::{Duration, Instant};

use umbel_transport::address::Address;
use umbel_transport::amqp::{AmqpBroker, AmqpOptions, RpcStore};
use umbel_transport::broker::{Broker, BrokerError};
use umbel_transport::results::{Reply, ResultStore, StoreError};

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
    let record = umbel_protocol::record::ResultRecord::from_json(
        br#"{"status": "SUCCESS", "result": 5, "task_id": "t"}"#,
    )
    .unwrap();
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
