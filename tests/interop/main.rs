//! Unmodified Celery clients and workers on the same brokers as Umbel.

mod beat;
mod calls;
mod endings;
mod examples;
mod malformed;
mod mixed;
mod scene;
mod servers;
mod stopping;

macro_rules! cases {
    ($($module:ident::$test:ident)*) => {
        $(
            #[test]
            fn $test() {
                crate::$module::$test(&SCENE);
            }
        )*
    };
}

/// Every sentence on one pair of broker and result backend.
macro_rules! on {
    ($pair:ident: $broker:ident, $results:ident) => {
        mod $pair {
            use std::sync::LazyLock;

            use crate::scene::{Broker, Pair, Results, Scene};

            static SCENE: LazyLock<Scene> = LazyLock::new(|| {
                Scene::open(Pair { broker: Broker::$broker, results: Results::$results })
            });

            cases! {
                calls::send_task_and_get_gives_the_sum
                calls::keyword_arguments_go_by_parameter_name
                calls::unicode_comes_back_as_it_went
                calls::five_megabytes_go_there_and_back
                calls::big_integers_and_floats_come_back_as_they_went
                calls::python_types_come_back_as_they_went
                calls::a_group_gives_its_results_in_order
                calls::a_protocol_1_client_gets_its_result
                calls::compressed_bodies_are_read
                calls::a_countdown_delays_the_run
                calls::the_task_sees_its_own_request
                calls::priorities_are_taken_as_they_come
                calls::the_log_reads_as_celerys
                calls::the_command_line_and_python_share_a_queue
                endings::a_failing_task_raises_its_message_in_the_client
                endings::arguments_that_do_not_fit_raise_in_pythons_words
                endings::an_integer_too_large_raises
                endings::an_unknown_name_raises_not_registered
                examples::a_photograph_becomes_a_thumbnail
                examples::markdown_becomes_html
                examples::a_csv_becomes_its_summary
                malformed::bad_messages_neither_crash_nor_loop_nor_stall
                mixed::a_python_worker_and_umbel_share_a_queue
                stopping::sigterm_finishes_what_runs_and_gives_the_rest_back
                stopping::a_second_sigterm_gives_back_what_runs
            }
        }
    };
}

on!(redis_with_redis: Redis, Redis);
on!(redis_with_rpc: Redis, Rpc);
on!(rabbitmq_with_redis: RabbitMq, Redis);
on!(rabbitmq_with_rpc: RabbitMq, Rpc);

mod scheduled {
    use crate::scene::{Broker, Pair, Results};

    #[test]
    fn redis_carries_what_is_scheduled_to_either_worker() {
        let pair = Pair { broker: Broker::Redis, results: Results::Redis };
        crate::beat::what_is_scheduled_runs_on_either_worker(pair);
    }

    #[test]
    fn rabbitmq_carries_what_is_scheduled_to_either_worker() {
        let pair = Pair { broker: Broker::RabbitMq, results: Results::Rpc };
        crate::beat::what_is_scheduled_runs_on_either_worker(pair);
    }
}

mod redis_alone {
    use crate::scene::{Broker, Pair, Results};

    const PAIR: Pair = Pair { broker: Broker::Redis, results: Results::Redis };

    #[test]
    fn lower_priorities_are_served_first() {
        crate::calls::lower_priorities_are_served_first(PAIR);
    }

    #[test]
    fn what_is_no_envelope_at_all_is_survived() {
        crate::malformed::what_is_no_envelope_at_all_is_survived(PAIR);
    }

    #[test]
    fn a_third_sigterm_waits_for_nothing() {
        crate::stopping::a_third_sigterm_waits_for_nothing(PAIR);
    }

    #[test]
    fn what_the_drain_timeout_cuts_off_uses_up_a_retry_if_it_is_to() {
        crate::stopping::what_the_drain_timeout_cuts_off_uses_up_a_retry_if_it_is_to(PAIR);
    }

    #[test]
    fn an_expired_task_is_revoked() {
        crate::endings::an_expired_task_is_revoked(PAIR);
    }

    #[test]
    fn an_async_task_ends_as_others_do() {
        crate::endings::an_async_task_ends_as_others_do(PAIR);
    }
}

mod rabbitmq_alone {
    use crate::scene::{Broker, Pair, Results};

    const PAIR: Pair = Pair { broker: Broker::RabbitMq, results: Results::Redis };

    #[test]
    fn what_the_drain_timeout_cuts_off_uses_up_a_retry_if_it_is_to() {
        crate::stopping::what_the_drain_timeout_cuts_off_uses_up_a_retry_if_it_is_to(PAIR);
    }

    #[test]
    fn a_second_worker_of_a_name_works_without_remote_control() {
        crate::mixed::a_second_worker_of_a_name_works_without_remote_control(PAIR);
    }
}
