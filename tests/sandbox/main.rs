//! Hostile guests in a real worker: each ends as it should, and nobody else notices.

mod crowd;
mod endings;
mod fetching;
mod granted;
mod keeping;
mod memory;
mod neighbours;
mod probing;
mod scene;
mod sending;
mod surroundings;

use umbel_system_tests::behaviours::BEHAVIOURS;

/// Every guest and a test that runs it. A folder without a line here fails the test below, unless
/// the table of behaviours calls it; a line whose test is gone does not compile.
const GUESTS: &[(&str, fn())] = &[
    ("boasts", endings::results_beyond_the_cap_are_not_stored),
    ("chatters", surroundings::chatter_is_coalesced_and_capped),
    ("dials", surroundings::asking_for_the_network_is_refused_at_load),
    ("fetches", fetching::a_request_goes_where_it_was_granted_and_nowhere_else),
    ("floods", surroundings::a_flood_of_output_is_capped),
    ("hoards", memory::allocating_for_ever_ends_at_the_memory_limit),
    ("lies", endings::a_result_that_is_no_json_is_a_failure),
    ("loops", endings::looping_for_ever_ends_at_the_time_limit),
    ("poses", endings::a_guest_cannot_choose_the_class_that_a_client_makes),
    ("pries", keeping::a_store_that_is_not_granted_names_the_line_that_would_allow_it),
    ("reaches", granted::an_import_that_is_not_granted_names_the_line_that_would_allow_it),
    ("recurses", endings::endless_recursion_is_a_trap_that_says_so),
    ("remembers", memory::nothing_is_left_of_an_earlier_run),
    ("rushes", granted::a_component_may_import_both_versions_under_one_grant),
    ("sleeps", endings::sleeping_for_ever_ends_at_the_time_limit),
    ("snoops", surroundings::nothing_of_the_worker_is_visible),
    ("spams", sending::a_flood_of_submissions_is_counted),
    ("stalls", endings::an_endless_initialisation_ends_at_the_time_limit),
    ("traps", endings::a_trap_names_the_function_in_its_traceback),
];

/// Guests of `tests/hostile` that need more than to be called.
const IN_HOSTILE: &[&str] = &["forks", "lingers"];

#[test]
fn every_guest_has_a_test() {
    let folder = umbel_harness::paths::tests().join("guests");
    let mut folders: Vec<String> = std::fs::read_dir(&folder)
        .expect("the guests are there")
        .flatten()
        .filter(|entry| is_guest(&entry.path()))
        .filter_map(|entry| Some(entry.path().file_stem()?.to_string_lossy().into_owned()))
        .collect();
    folders.sort();
    let here = GUESTS.iter().map(|(name, _)| *name);
    let called = BEHAVIOURS.iter().map(|behaviour| behaviour.guest);
    let mut named: Vec<&str> = here.chain(called).chain(IN_HOSTILE.iter().copied()).collect();
    named.sort_unstable();
    named.dedup();
    assert_eq!(named, folders, "left: named by tests, right: folders");
}

/// A folder with a crate, or a component as text.
fn is_guest(path: &std::path::Path) -> bool {
    path.join("Cargo.toml").exists() || path.extension().is_some_and(|end| end == "wat")
}
