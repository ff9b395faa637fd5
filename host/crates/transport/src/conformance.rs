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
use crate::timetable::Timetable;

mod bench;
pub mod broker;
pub mod chords;
pub mod counting;
pub mod delays;
pub mod letters;
pub mod listening;
pub mod purging;
pub mod store;
pub mod timetable;

/// How long anything that must happen may take; generous, since the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(90);

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
    /// How much later than asked for a delayed delivery may come back; `None`: there are no delays.
    pub delays_within: Option<Duration>,
    /// How much sooner than asked for it may come back, where the broker counts in whole seconds.
    pub delays_early: Duration,
    /// What is put aside can be listed and replayed.
    pub dead_letters: bool,
    /// Workers can be spoken to all at once.
    pub listens: bool,
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

    /// It counts chords and keeps groups.
    fn has_chords(&self) -> bool {
        self.keeps()
    }
}

/// A timetable under test. One fixture serves one case.
#[async_trait]
pub trait TimetableFixture: Send + Sync {
    /// A new handle, as another process would have.
    async fn timetable(&self) -> Arc<dyn Timetable>;

    /// The broker that its messages go to.
    async fn broker(&self) -> Arc<dyn Broker>;
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
        $crate::conformance_cases! { $fixture, counting:
            handing_out_is_counted
            a_requeue_does_not_count
            a_rejected_message_comes_again_and_says_so
            a_vanished_consumers_deliveries_are_counted_or_given_back
        }
        $crate::conformance_cases! { $fixture, delays:
            a_delayed_delivery_comes_back_at_its_time_and_not_before
            a_delayed_message_arrives_as_it_was_published
            a_delay_does_not_count
            a_delayed_delivery_leaves_its_place_in_the_window
            a_time_that_has_passed_is_now
            a_sooner_delay_overtakes_a_later_one
            a_delayed_message_outlives_whoever_delayed_it
            many_delayed_messages_come_back_once_each
        }
        $crate::conformance_cases! { $fixture, letters:
            a_buried_message_is_listed_with_its_reason
            a_buried_message_never_comes_again
            a_replayed_message_starts_afresh
            replaying_what_is_not_there_changes_nothing
            dead_letters_are_listed_oldest_first_up_to_a_limit
        }
        $crate::conformance_cases! { $fixture, purging:
            what_waits_in_a_queue_is_counted
            purging_removes_what_waits_in_a_queue_and_nothing_else
            a_queue_that_nobody_declared_is_empty
        }
        $crate::conformance_cases! { $fixture, listening:
            a_listener_hears_what_is_said_after_it_began
            all_that_is_said_is_heard_in_order_by_every_listener
            nobody_listening_is_no_error
            what_is_emitted_is_overheard_by_those_who_want_it
            a_reply_is_heard_by_whoever_asked_and_by_nobody_else
            a_reply_that_nobody_waits_for_is_no_error
            waiting_for_a_request_may_be_cut_short
            a_listener_ends_with_its_broker
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
        $crate::conformance_cases! { $fixture, chords:
            a_chord_completes_with_its_last_part
            the_size_may_come_after_the_parts
            a_part_that_asks_again_completes_a_chord_whose_size_came_late
            counting_a_part_in_twice_changes_nothing
            parts_carry_values_and_failures
            parts_without_a_position_come_last
            a_chord_of_more_than_ten_keeps_its_order
            exactly_one_of_many_concurrent_joins_completes
            a_chord_can_grow
            a_chord_whose_body_was_sent_is_done
            a_chord_whose_body_can_never_be_sent_keeps_nobody_waiting
            a_chord_can_begin_again
            a_claim_that_lapses_can_be_taken_by_another
            a_claim_can_be_held_longer
            chords_do_not_touch_each_other
            a_group_is_read_as_it_was_saved
        }
    };
}

/// Writes one test for each sentence about timetables. The expression makes a
/// [`TimetableFixture`](crate::conformance::TimetableFixture) and may await.
#[macro_export]
macro_rules! timetable_conformance {
    ($fixture:expr) => {
        $crate::conformance_cases! { $fixture, timetable:
            one_of_many_leads
            a_lead_that_is_given_up_is_anybodys
            a_lead_that_is_not_renewed_lapses
            a_run_is_read_as_it_was_noted
            an_entry_can_be_forgotten
            nobody_notes_over_what_another_noted
            a_run_and_its_message_go_out_together_and_once
            of_many_who_note_a_run_one_sends_it
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
