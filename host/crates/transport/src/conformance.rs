//! The suite every broker and every result store must pass. Looks through the traits only.
//!
//! A backend's test file gives a fixture and lets a macro write one test for each sentence:
//!
//! ```ignore
//! mod broker {
//!     umbel_transport::broker_conformance!(super::Fixture::start().await);
//! }
//! mod store {
//!     umbel_transport::store_conformance!(super::Fixture::start().await);
//! }
//! ```

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::broker::Broker;
use crate::results::ResultStore;

pub mod broker;
pub mod store;

/// How long anything that must happen may take; generous, since the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How long nothing must happen before the suite believes that it will not.
pub const QUIET: Duration = Duration::from_millis(300);

/// A broker under test. One fixture serves one case.
#[async_trait]
pub trait BrokerFixture: Send + Sync {
    /// A new handle with a connection of its own, as another process would have. All handles of a
    /// fixture reach the same messages.
    async fn broker(&self) -> Arc<dyn Broker>;

    /// What this kind of broker can do.
    fn abilities(&self) -> Abilities;
}

/// What differs between kinds of brokers.
#[derive(Clone, Copy, Debug)]
pub struct Abilities {
    /// Deliveries say how often they were handed out before.
    pub counts_deliveries: bool,
    /// Which of two waiting messages with a priority goes first.
    pub priorities: Priorities,
    /// Headers may hold what AMQP's tables cannot say: big integers, bytes, tagged text.
    pub any_header: bool,
    /// `Properties::other` is carried.
    pub other_properties: bool,
    /// How soon what a vanished consumer held is delivered again.
    pub returns_within: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priorities {
    HigherFirst,
    LowerFirst,
    /// First come, first served.
    Ignored,
}

/// A result store under test. One fixture serves one case.
#[async_trait]
pub trait StoreFixture: Send + Sync {
    /// A new handle, as another process would have.
    async fn store(&self) -> Arc<dyn ResultStore>;

    /// Anybody can read any record. `false` for stores that only deliver (`rpc://`).
    fn keeps(&self) -> bool {
        true
    }
}

/// A queue name that nobody used before.
pub fn fresh(word: &str) -> String {
    format!("{word}-{}", uuid::Uuid::new_v4().simple())
}

/// Awaits what must happen within [`PATIENCE`].
pub(crate) async fn soon<T>(what: &str, wanted: impl Future<Output = T>) -> T {
    within(PATIENCE, what, wanted).await
}

/// Awaits what must happen within `limit`.
pub(crate) async fn within<T>(limit: Duration, what: &str, wanted: impl Future<Output = T>) -> T {
    match tokio::time::timeout(limit, wanted).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {limit:?}"),
    }
}

/// Looks again until `look` gives something.
pub(crate) async fn eventually<T, L, F>(what: &str, mut look: L) -> T
where
    L: FnMut() -> F,
    F: Future<Output = Option<T>>,
{
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = look().await {
            return value;
        }
        assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Writes one test for each sentence about brokers. The expression makes a
/// [`BrokerFixture`](crate::conformance::BrokerFixture) and may await.
#[macro_export]
macro_rules! broker_conformance {
    ($fixture:expr) => {
        $crate::conformance_cases! { $fixture, broker:
            a_message_arrives_as_it_was_published
            every_property_arrives
            headers_arrive_with_all_that_json_can_say
            a_body_of_five_megabytes_arrives
            bodies_that_are_empty_or_no_text_arrive
            a_message_sent_through_the_exchange_of_its_queue_arrives
            messages_come_in_the_order_they_were_published
            a_message_is_kept_until_somebody_consumes
            a_consumer_gets_only_from_its_own_queues
            an_idle_consumer_gets_a_new_message_promptly
            the_window_is_never_exceeded_and_refills
            a_window_can_grow
            a_window_can_shrink
            an_acknowledged_message_never_comes_again
            a_requeued_message_comes_again_and_says_so
            a_discarded_message_never_comes_again
            a_dropped_receipt_brings_the_message_back
            handing_out_is_counted
            waiting_for_the_next_message_may_be_cut_short
            stopping_gives_back_what_was_not_handed_out
            a_stopped_consumer_ends
            a_delivery_can_be_settled_after_the_consumer_stopped
            two_consumers_share_a_queue_without_doubles
            what_a_vanished_consumer_held_comes_again
            a_dropped_consumer_loses_nothing
            a_full_queue_does_not_starve_a_small_one
            priorities_are_served_as_this_broker_means_them
            many_publish_and_settle_at_once
            a_closed_broker_refuses_to_publish
        }
    };
}

/// Writes one test for each sentence about result stores. The expression makes a
/// [`StoreFixture`](crate::conformance::StoreFixture) and may await.
#[macro_export]
macro_rules! store_conformance {
    ($fixture:expr) => {
        $crate::conformance_cases! { $fixture, store:
            a_record_of_each_state_is_read_as_it_was_put
            an_unknown_id_has_no_record
            a_success_is_never_replaced
            a_failure_is_replaced_by_a_later_success
            unknown_keys_survive
            text_in_any_script_survives
            a_result_of_five_megabytes_survives
            a_waiter_is_told_when_the_task_is_ready
            a_ready_task_needs_no_waiting
            a_waiter_gives_up_in_time_with_the_latest_record
            several_waiters_are_told
            many_records_are_put_at_once
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! conformance_cases {
    ($fixture:expr, $suite:ident: $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let fixture = $fixture;
                $crate::conformance::$suite::$case(&fixture).await;
            }
        )*
    };
}
