//! The suite's table of contents: each hostile behaviour and the tests that try it. A line without a
//! test fails, and so does a test that is gone.

use umbel_harness::paths;
use umbel_system_tests::behaviours::BEHAVIOURS;

/// Stands for the rows of that line in `tests/src/behaviours.rs`.
const ROWS: &str =
    "tests/hostile/behaviours.rs::each_ends_as_it_should_within_its_limit_and_its_neighbours_go_on";

/// Each line: its number, what it tries, where that is tested.
const LINES: &[(u8, &str, &[&str])] = &[
    (
        1,
        "an endless loop",
        &[ROWS, "tests/sandbox/endings.rs::looping_for_ever_ends_at_the_time_limit"],
    ),
    (
        2,
        "endless work inside one host call",
        &[
            "host/crates/engine/tests/engine/amounts.rs::more_than_a_run_may_pass_in_one_call_ends_it",
            "host/crates/engine/tests/engine/confinement.rs::a_result_beyond_the_output_limit_is_not_taken",
        ],
    ),
    (
        3,
        "sleeping for ever, waiting for what never happens",
        &[
            ROWS,
            "host/crates/engine/tests/engine/confinement.rs::a_wait_that_never_ends_ends_at_the_time_limit",
        ],
    ),
    (
        4,
        "a million sleeps of a nanosecond",
        &[ROWS, "tests/hostile/behaviours.rs::sleeping_keeps_no_thread_busy"],
    ),
    (
        5,
        "endless recursion",
        &[ROWS, "tests/sandbox/endings.rs::endless_recursion_is_a_trap_that_says_so"],
    ),
    (
        6,
        "memory, touched or not, in one or many",
        &[
            ROWS,
            "host/crates/engine/tests/engine/confinement.rs::many_memories_share_one_limit",
            "tests/sandbox/memory.rs::the_workers_memory_returns_to_where_it_was",
        ],
    ),
    (
        7,
        "tables and instances without end",
        &[ROWS, "host/crates/engine/tests/engine/amounts.rs::a_table_grows_up_to_its_limit"],
    ),
    (
        8,
        "handles that are never given back",
        &[ROWS, "host/crates/engine/tests/engine/amounts.rs::handles_end_at_their_number"],
    ),
    (
        9,
        "floods of output, escapes, forged lines",
        &[
            ROWS,
            "tests/sandbox/surroundings.rs::a_flood_of_output_is_capped",
            "tests/sandbox/surroundings.rs::output_can_neither_forge_log_lines_nor_command_the_terminal",
        ],
    ),
    (
        10,
        "results too large, too deep, too odd",
        &[
            ROWS,
            "tests/hostile/values.rs::odd_results_arrive_as_they_are_or_not_at_all",
            "tests/sandbox/endings.rs::results_beyond_the_cap_are_not_stored",
            "tests/sandbox/endings.rs::json_a_million_levels_deep_is_a_failure",
        ],
    ),
    (
        11,
        "arguments that multiply or swell",
        &[
            "tests/hostile/messages.rs::bad_messages_on_sqlite_leave_a_trace_and_stop_nobody",
            "tests/hostile/messages.rs::bad_messages_on_redis_leave_a_trace_and_stop_nobody",
            "tests/hostile/messages.rs::bad_messages_on_rabbitmq_leave_a_trace_and_stop_nobody",
        ],
    ),
    (12, "traps and lies in `cabi_realloc` and `post-return`", &[ROWS]),
    (13, "calling back into its own instance", &[ROWS]),
    (
        14,
        "invalid flags, cases, characters, text",
        &[ROWS, "tests/hostile/values.rs::odd_results_arrive_as_they_are_or_not_at_all"],
    ),
    (
        15,
        "a start function that never ends",
        &[
            ROWS,
            "host/crates/engine/tests/engine/confinement.rs::an_endless_start_function_ends_at_the_time_limit",
        ],
    ),
    (
        16,
        "compile bombs",
        &[
            "tests/cli/compiling.rs::a_component_that_exhausts_the_compiler_is_refused_and_the_rest_is_served",
        ],
    ),
    (
        17,
        "imports that are not there, or otherwise",
        &[
            "tests/hostile/imports.rs::what_does_not_exist_is_named",
            "tests/hostile/imports.rs::a_known_package_at_another_version_is_named",
            "tests/hostile/imports.rs::a_known_interface_of_another_type_is_named",
        ],
    ),
    (
        18,
        "a poisoned cache, compiled code as a plugin",
        &[
            "tests/cli/compiling.rs::compiled_code_from_outside_is_never_taken",
            "host/crates/engine/tests/engine/loading.rs::a_spoilt_cache_entry_is_compiled_again",
            "host/crates/engine/tests/engine/loading.rs::a_cache_that_others_can_write_is_refused",
            "host/crates/engine/tests/engine/loading.rs::what_is_no_component_is_refused_with_a_way_out",
        ],
    ),
    (
        19,
        "requests to addresses that are nobody's business",
        &[
            "tests/sandbox/granted.rs::sockets_go_where_they_were_granted_and_nowhere_else",
            ROWS,
            "tests/sandbox/surroundings.rs::asking_for_the_network_is_refused_at_load",
        ],
    ),
    (
        20,
        "ten thousand sockets, endless responses",
        &["tests/sandbox/granted.rs::sockets_are_counted"],
    ),
    (
        21,
        "files outside a grant",
        &[
            "tests/sandbox/granted.rs::no_path_leads_out_of_a_granted_folder",
            "tests/sandbox/granted.rs::nothing_is_moved_or_linked_from_one_grant_into_another",
            ROWS,
            "tests/sandbox/surroundings.rs::nothing_of_the_worker_is_visible",
        ],
    ),
    (
        22,
        "filling a disk",
        &["tests/sandbox/granted.rs::room_is_what_was_granted_and_no_more", ROWS],
    ),
    (
        23,
        "memory of another run",
        &[
            "tests/sandbox/memory.rs::nothing_is_left_of_an_earlier_run",
            "host/crates/engine/tests/engine/confinement.rs::a_run_sees_nothing_that_another_one_left",
        ],
    ),
    (
        24,
        "environment, configuration, the broker's address",
        &[ROWS, "tests/sandbox/surroundings.rs::nothing_of_the_worker_is_visible"],
    ),
    (
        25,
        "fork bombs",
        &[
            ROWS,
            "tests/hostile/forks.rs::a_fork_bomb_ends_after_its_generations",
            "tests/sandbox/sending.rs::a_flood_of_submissions_is_counted",
        ],
    ),
    (
        26,
        "forged ids and routes in what a task sends",
        &[
            "host/crates/worker/tests/path/canvas.rs::tasks_that_a_run_sends_are_sent_before_its_result_is_stored_and_are_its_children",
        ],
    ),
    (
        27,
        "forged results through key-value access",
        &[
            "tests/sandbox/keeping.rs::no_key_leads_out_of_the_prefix",
            "tests/sandbox/keeping.rs::plugins_of_different_prefixes_do_not_see_each_other",
            "host/crates/task/src/grants/keyvalue.rs::no_key_leads_from_one_place_into_another",
        ],
    ),
    (
        28,
        "poisoned chords",
        &[
            "tests/hostile/chords.rs::strangers_neither_complete_a_chord_nor_run_its_body_twice",
            "host/crates/transport/src/conformance/chords.rs::counting_a_part_in_twice_changes_nothing",
            "host/crates/transport/src/conformance/chords.rs::a_chord_whose_body_was_sent_is_done",
        ],
    ),
    (
        29,
        "exceptions that a client would look up",
        &[
            ROWS,
            "tests/sandbox/endings.rs::a_guest_cannot_choose_the_class_that_a_client_makes",
            "host/crates/worker/tests/path/endings.rs::a_guests_exception_names_never_leave_their_module",
        ],
    ),
    (
        30,
        "names and stamps without end as labels",
        &["tests/hostile/messages.rs::five_thousand_unknown_names_and_stamps_leave_nothing"],
    ),
    (31, "timing", &["tests/sandbox/granted.rs::a_coarse_clock_tells_whole_steps"]),
    (
        32,
        "draining randomness",
        &[ROWS, "host/crates/engine/tests/engine/amounts.rs::randomness_ends_at_its_bytes"],
    ),
    (
        33,
        "swapping the file while it loads or runs",
        &[
            "tests/reload/life.rs::a_new_version_serves_at_once_and_a_running_task_ends_on_its_own",
            "tests/reload/life.rs::a_half_written_file_is_waited_out",
            "tests/reload/load.rs::redis_loses_and_doubles_nothing_while_a_plugin_is_swapped",
        ],
    ),
    (
        34,
        "being in a host call when it is to end",
        &[
            "tests/hostile/cancelling.rs::a_revoked_run_ends_at_once_in_whatever_call_it_is",
            "tests/hostile/cancelling.rs::a_worker_that_is_cut_off_gives_every_run_back_in_whatever_call_it_is",
        ],
    ),
    (
        35,
        "a million progress updates",
        &[ROWS, "tests/sandbox/surroundings.rs::chatter_is_coalesced_and_capped"],
    ),
    (
        36,
        "async functions that do not end, return and go on, or hold what they can",
        &[
            ROWS,
            "host/crates/engine/tests/engine/concurrent.rs::what_it_holds_of_the_host_is_limited",
            "tests/sandbox/granted.rs::listings_that_nobody_reads_keep_nobody_waiting",
        ],
    ),
];

/// Operators' mistakes and misfortunes.
const OPERATORS: &[(&str, &[&str])] = &[
    (
        "wrong password",
        &[
            "tests/cli/brokers.rs::a_wrong_redis_password_is_said_without_telling_it",
            "tests/cli/brokers.rs::a_wrong_rabbitmq_password_or_vhost_is_said_without_telling_it",
        ],
    ),
    (
        "wrong vhost",
        &["tests/cli/brokers.rs::a_wrong_rabbitmq_password_or_vhost_is_said_without_telling_it"],
    ),
    (
        "unreachable broker at start",
        &[
            "tests/cli/brokers.rs::an_unreachable_broker_is_named_and_the_worker_ends",
            "tests/hostile/operators.rs::a_broker_that_went_away_is_named_by_every_command",
        ],
    ),
    (
        "unreachable broker later",
        &[
            "tests/hostile/operators.rs::a_redis_that_goes_away_and_comes_back_is_told_of_and_loses_nothing",
            "tests/hostile/operators.rs::a_rabbitmq_that_closes_connections_is_told_of_and_loses_nothing",
        ],
    ),
    (
        "a queue declared with other arguments",
        &["tests/cli/queues.rs::a_queue_that_exists_otherwise_is_refused_unless_it_is_accepted"],
    ),
    (
        "a read-only disk",
        &[
            "tests/hostile/operators.rs::a_disk_that_becomes_read_only_is_told_of_and_loses_nothing",
            "tests/cli/brokers.rs::an_sqlite_file_that_may_not_be_written_is_named",
        ],
    ),
    ("a full disk", &["tests/hostile/operators.rs::a_full_disk_is_told_of_and_loses_nothing"]),
    (
        "a plugin folder that vanishes",
        &["tests/hostile/operators.rs::a_plugin_folder_that_vanishes_stops_nobody"],
    ),
    (
        "a clock that jumps",
        &["tests/hostile/operators.rs::a_clock_that_jumps_loses_nothing_and_cuts_nobody_off"],
    ),
    ("starting as root", &["tests/cli/configuration.rs::root_is_refused_unless_it_insists"]),
    (
        "two workers with one name",
        &[
            "tests/hostile/operators.rs::two_workers_of_one_name_share_the_work_and_lose_none",
            "tests/interop/mixed.rs::a_second_worker_of_a_name_works_without_remote_control",
        ],
    ),
];

#[test]
fn every_line_has_a_test() {
    let numbers: Vec<u8> = LINES.iter().map(|(number, ..)| *number).collect();
    assert_eq!(numbers, (1..=36).collect::<Vec<u8>>());
    let without = LINES.iter().filter(|(.., tests)| tests.is_empty()).map(|(number, ..)| *number);
    assert_eq!(without.collect::<Vec<u8>>(), Vec::<u8>::new(), "lines without a test");
    for (number, tries, tests) in LINES {
        let rows = BEHAVIOURS.iter().any(|behaviour| behaviour.line == *number);
        assert_eq!(
            rows,
            tests.contains(&ROWS),
            "line {number}, {tries}: ROWS where there are rows"
        );
    }
}

#[test]
fn every_test_that_is_named_is_there() {
    let lines = LINES.iter().flat_map(|(.., tests)| tests.iter());
    let operators = OPERATORS.iter().flat_map(|(mistake, tests)| {
        assert!(!tests.is_empty(), "{mistake} has no test");
        tests.iter()
    });
    for test in lines.chain(operators) {
        let (file, name) = test.split_once("::").expect("a file and a function");
        let text = std::fs::read_to_string(paths::workspace().join(file)).unwrap_or_default();
        assert!(text.contains(&format!("fn {name}(")), "{file} has no `{name}`");
    }
}
