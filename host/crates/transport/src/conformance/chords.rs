//! Chords are counted so that one caller sends the body, once; and groups are kept.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use umbel_protocol::chord::ChordPart;
use umbel_protocol::record::{Exception, State};
use umbel_value::Value;

use super::{StoreFixture, eventually, fresh, soon};
use crate::results::{Claim, Joined, ResultStore};

pub async fn a_chord_completes_with_its_last_part(fixture: &dyn StoreFixture) {
    let Some(chord) = Chord::new(fixture, 3).await else { return };
    assert_eq!(chord.join(2).await, Joined::Waiting);
    assert_eq!(chord.join(0).await, Joined::Waiting);
    let (claim, parts) = chord.completes_with(1).await;
    assert_eq!(claim.group, chord.group);
    assert_eq!(parts, [chord.part(0), chord.part(1), chord.part(2)], "by position");
}

pub async fn the_size_may_come_after_the_parts(fixture: &dyn StoreFixture) {
    let Some(chord) = Chord::without_size(fixture).await else { return };
    for index in 0..2 {
        assert_eq!(chord.join(index).await, Joined::Waiting);
    }
    chord.begin(3).await;
    let (_, parts) = chord.completes_with(2).await;
    assert_eq!(parts.len(), 3);
}

pub async fn a_part_that_asks_again_completes_a_chord_whose_size_came_late(
    fixture: &dyn StoreFixture,
) {
    let Some(chord) = Chord::without_size(fixture).await else { return };
    assert_eq!(chord.join(0).await, Joined::Waiting);
    chord.begin(1).await;
    chord.completes_with(0).await;
}

pub async fn counting_a_part_in_twice_changes_nothing(fixture: &dyn StoreFixture) {
    let Some(chord) = Chord::new(fixture, 2).await else { return };
    for _ in 0..4 {
        assert_eq!(chord.join(0).await, Joined::Waiting);
    }
    let (_, parts) = chord.completes_with(1).await;
    assert_eq!(parts, [chord.part(0), chord.part(1)]);
}

pub async fn parts_carry_values_and_failures(fixture: &dyn StoreFixture) {
    let Some(chord) = Chord::new(fixture, 4).await else { return };
    let error = Exception::new("builtins", "ValueError", "no ünit").to_value();
    let parts = [
        ChordPart { result: Value::Null, ..chord.part(0) },
        ChordPart { state: State::Failure, result: error.clone(), ..chord.part(1) },
        ChordPart { state: State::Revoked, result: error, ..chord.part(2) },
        ChordPart {
            result: Value::List(vec![Value::Float(0.5), "größe 数".into(), Value::Int(i64::MAX)]),
            ..chord.part(3)
        },
    ];
    for part in &parts[..3] {
        assert_eq!(chord.count_in(part).await, Joined::Waiting);
    }
    match chord.count_in(&parts[3]).await {
        Joined::Complete { parts: found, .. } => assert_eq!(found, parts),
        other => panic!("{other:?}"),
    }
}

pub async fn parts_without_a_position_come_last(fixture: &dyn StoreFixture) {
    let Some(chord) = Chord::new(fixture, 3).await else { return };
    let nowhere = ChordPart { index: None, ..chord.part(7) };
    assert_eq!(chord.count_in(&nowhere).await, Joined::Waiting);
    assert_eq!(chord.join(1).await, Joined::Waiting);
    let (_, parts) = chord.completes_with(0).await;
    assert_eq!(parts, [chord.part(0), chord.part(1), nowhere]);
}

pub async fn a_chord_of_more_than_ten_keeps_its_order(fixture: &dyn StoreFixture) {
    let Some(chord) = Chord::new(fixture, 25).await else { return };
    for index in (1..25).rev() {
        assert_eq!(chord.join(index).await, Joined::Waiting);
    }
    let (_, parts) = chord.completes_with(0).await;
    assert_eq!(parts, (0..25).map(|index| chord.part(index)).collect::<Vec<_>>());
}

pub async fn exactly_one_of_many_concurrent_joins_completes(fixture: &dyn StoreFixture) {
    const SIZE: u32 = 20;
    let Some(chord) = Chord::new(fixture, SIZE).await else { return };
    let other = Chord { store: fixture.store().await, group: chord.group.clone() };
    // Each part twice, as if it had been delivered twice.
    let joins = (0..SIZE).flat_map(|index| [chord.join(index), other.join(index)]);
    let joined = soon("the joins", join_all(joins)).await;
    let complete = joined.iter().filter(|joined| matches!(joined, Joined::Complete { .. }));
    assert_eq!(complete.count(), 1, "{joined:?}");
    assert!(!joined.contains(&Joined::Done), "{joined:?}");
}

pub async fn a_chord_can_grow(fixture: &dyn StoreFixture) {
    let Some(chord) = Chord::new(fixture, 2).await else { return };
    soon("grow", chord.store.grow_chord(&chord.group, 1)).await.expect("grows");
    soon("grow", chord.store.grow_chord(&chord.group, 2)).await.expect("grows");
    for index in 0..4 {
        assert_eq!(chord.join(index).await, Joined::Waiting);
    }
    let (_, parts) = chord.completes_with(4).await;
    assert_eq!(parts.len(), 5);
}

pub async fn a_chord_whose_body_was_sent_is_done(fixture: &dyn StoreFixture) {
    let Some(chord) = Chord::new(fixture, 1).await else { return };
    let (claim, _) = chord.completes_with(0).await;
    assert_eq!(chord.join(0).await, Joined::Claimed);
    chord.end(&claim, true).await;
    assert_eq!(chord.join(0).await, Joined::Done);
    assert_eq!(chord.join(1).await, Joined::Done);
    // Ending twice changes nothing.
    chord.end(&claim, true).await;
    assert_eq!(chord.join(0).await, Joined::Done);
}

pub async fn a_chord_whose_body_can_never_be_sent_keeps_nobody_waiting(fixture: &dyn StoreFixture) {
    let Some(chord) = Chord::new(fixture, 1).await else { return };
    let (claim, _) = chord.completes_with(0).await;
    chord.end(&claim, false).await;
    let after = chord.join(0).await;
    assert!(matches!(after, Joined::Waiting | Joined::Done), "{after:?}");
}

pub async fn a_chord_can_begin_again(fixture: &dyn StoreFixture) {
    let Some(chord) = Chord::new(fixture, 1).await else { return };
    let (claim, _) = chord.completes_with(0).await;
    chord.end(&claim, true).await;
    chord.begin(1).await;
    chord.completes_with(0).await;
}

pub async fn a_claim_that_lapses_can_be_taken_by_another(fixture: &dyn StoreFixture) {
    let Some(chord) = Chord::new(fixture, 1).await else { return };
    let (lost, _) = chord.completes_with(0).await;
    let other = Chord { store: fixture.store().await, group: chord.group.clone() };
    let (taken, parts) = eventually("the claim lapses", async || match other.join(0).await {
        Joined::Complete { claim, parts } => Some((claim, parts)),
        Joined::Claimed => None,
        wrong => panic!("{wrong:?}"),
    })
    .await;
    assert_eq!(parts, [chord.part(0)]);
    assert_ne!(lost.token, taken.token);
    assert!(!chord.extend(&lost, Duration::from_secs(60)).await, "it is somebody else's");
    // Nor can who lost it end the chord.
    chord.end(&lost, true).await;
    chord.end(&lost, false).await;
    assert_eq!(chord.join(0).await, Joined::Claimed);
    assert!(other.extend(&taken, Duration::from_secs(60)).await);
    other.end(&taken, true).await;
    assert_eq!(chord.join(0).await, Joined::Done);
}

pub async fn a_claim_can_be_held_longer(fixture: &dyn StoreFixture) {
    let Some(chord) = Chord::new(fixture, 1).await else { return };
    let (claim, _) = chord.completes_with(0).await;
    assert!(chord.extend(&claim, Duration::from_secs(1)).await);
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        assert!(chord.extend(&claim, Duration::from_secs(2)).await);
        assert_eq!(chord.join(0).await, Joined::Claimed);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    chord.end(&claim, true).await;
    assert!(!chord.extend(&claim, Duration::from_secs(1)).await, "the chord is done");
}

pub async fn chords_do_not_touch_each_other(fixture: &dyn StoreFixture) {
    let Some(first) = Chord::new(fixture, 2).await else { return };
    let Some(second) = Chord::new(fixture, 1).await else { return };
    assert_eq!(first.join(0).await, Joined::Waiting);
    let (claim, _) = second.completes_with(0).await;
    second.end(&claim, true).await;
    first.completes_with(1).await;
}

pub async fn a_group_is_read_as_it_was_saved(fixture: &dyn StoreFixture) {
    let Some(chord) = Chord::without_size(fixture).await else { return };
    let store = &chord.store;
    let none = soon("group", store.group(&chord.group)).await.expect("the store reads");
    assert_eq!(none, None);
    let child = |id: &str| {
        let ids = Value::List(vec![id.into(), Value::Null]);
        Value::List(vec![ids, Value::Null])
    };
    let ids = Value::List(vec![chord.group.as_str().into(), Value::Null]);
    let tuple = Value::List(vec![ids, Value::List(vec![child("a"), child("b")])]);
    soon("save", store.save_group(&chord.group, &tuple)).await.expect("saves");
    let other = fixture.store().await;
    let found = soon("group", other.group(&chord.group)).await.expect("the store reads");
    assert_eq!(found, Some(tuple));
}

struct Chord {
    store: Arc<dyn ResultStore>,
    group: String,
}

impl Chord {
    /// `None` where the store has no chords.
    async fn without_size(fixture: &dyn StoreFixture) -> Option<Chord> {
        if !fixture.has_chords() {
            return None;
        }
        Some(Chord { store: fixture.store().await, group: fresh("group") })
    }

    async fn new(fixture: &dyn StoreFixture, size: u32) -> Option<Chord> {
        let chord = Chord::without_size(fixture).await?;
        chord.begin(size).await;
        Some(chord)
    }

    async fn begin(&self, size: u32) {
        soon("begin", self.store.begin_chord(&self.group, size)).await.expect("begins");
    }

    fn part(&self, index: u32) -> ChordPart {
        ChordPart {
            group: self.group.clone(),
            id: format!("{}-{index}", self.group),
            index: Some(index),
            state: State::Success,
            result: Value::Int(index.into()),
        }
    }

    async fn join(&self, index: u32) -> Joined {
        self.count_in(&self.part(index)).await
    }

    async fn count_in(&self, part: &ChordPart) -> Joined {
        soon("join", self.store.join(part)).await.expect("the store counts")
    }

    async fn completes_with(&self, index: u32) -> (Claim, Vec<ChordPart>) {
        match self.join(index).await {
            Joined::Complete { claim, parts } => (claim, parts),
            other => panic!("part {index} does not complete the chord: {other:?}"),
        }
    }

    async fn extend(&self, claim: &Claim, time: Duration) -> bool {
        soon("extend", self.store.extend_claim(claim, time)).await.expect("the store answers")
    }

    async fn end(&self, claim: &Claim, sent: bool) {
        soon("end", self.store.end_chord(claim, sent)).await.expect("ends");
    }
}
