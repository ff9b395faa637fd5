//! Which deliveries of a channel are unsettled, and the fewest frames that settle a batch. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::delivery::Settlement;

/// The unsettled deliveries of one channel, each with its owner.
#[derive(Debug)]
pub(crate) struct Ledger<O> {
    open: BTreeMap<u64, O>,
    /// Every tag up to this one has arrived. Tags count up without gaps on a channel, but each
    /// queue's deliveries come in a stream of their own.
    seen: u64,
    /// Arrived ahead of a tag that has not.
    ahead: BTreeSet<u64>,
}

/// One method to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Ack { tag: u64, multiple: bool },
    Requeue { tag: u64 },
    Discard { tag: u64 },
}

impl<O> Ledger<O> {
    pub(crate) fn new() -> Self {
        Self { open: BTreeMap::new(), seen: 0, ahead: BTreeSet::new() }
    }

    /// Notes a delivery.
    pub(crate) fn arrived(&mut self, tag: u64, owner: O) {
        self.open.insert(tag, owner);
        if tag == self.seen + 1 {
            self.seen = tag;
            while self.ahead.remove(&(self.seen + 1)) {
                self.seen += 1;
            }
        } else {
            self.ahead.insert(tag);
        }
    }

    /// Settles a batch: the frames in the order they must be sent, and whose deliveries they were.
    /// Tags that are not open are left out: settling them would close the channel.
    pub(crate) fn settle(&mut self, batch: &[(u64, Settlement)]) -> (Vec<Frame>, Vec<O>) {
        let mut frames = Vec::new();
        let mut owners = Vec::with_capacity(batch.len());
        let mut acks = Vec::with_capacity(batch.len());
        for (tag, how) in batch {
            let Some(owner) = self.open.remove(tag) else { continue };
            owners.push(owner);
            match how {
                Settlement::Ack => acks.push(*tag),
                // Before the acks: one for many would take these along.
                Settlement::Requeue | Settlement::Reject | Settlement::Delay(_) => {
                    frames.push(Frame::Requeue { tag: *tag })
                }
                Settlement::Discard => frames.push(Frame::Discard { tag: *tag }),
            }
        }
        acks.sort_unstable();
        let together = acks.partition_point(|tag| self.may_cover(*tag));
        let alone = match together {
            0 | 1 => &acks[..],
            _ => {
                frames.push(Frame::Ack { tag: acks[together - 1], multiple: true });
                &acks[together..]
            }
        };
        frames.extend(alone.iter().map(|tag| Frame::Ack { tag: *tag, multiple: false }));
        (frames, owners)
    }

    /// Whether an ack of everything up to `tag` would touch nothing that is open or on its way.
    fn may_cover(&self, tag: u64) -> bool {
        tag <= self.seen && self.open.first_key_value().is_none_or(|(first, _)| tag < *first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Settlement::{Ack, Discard, Requeue};

    fn ack(tag: u64) -> Frame {
        Frame::Ack { tag, multiple: false }
    }

    fn up_to(tag: u64) -> Frame {
        Frame::Ack { tag, multiple: true }
    }

    type Batch<'a> = (&'a [(u64, Settlement)], &'a [Frame]);

    fn check(arrived: &[u64], batches: &[Batch<'_>]) {
        let mut ledger = Ledger::new();
        for tag in arrived {
            ledger.arrived(*tag, ());
        }
        for (batch, wanted) in batches {
            assert_eq!(ledger.settle(batch).0, *wanted, "of {arrived:?}: {batch:?}");
        }
    }

    #[test]
    fn neighbours_are_acknowledged_together() {
        check(&[1, 2, 3], &[(&[(1, Ack), (2, Ack), (3, Ack)], &[up_to(3)])]);
        check(&[1, 2, 3], &[(&[(3, Ack), (1, Ack), (2, Ack)], &[up_to(3)])]);
        check(&[1, 2, 3], &[(&[(1, Ack)], &[ack(1)]), (&[(2, Ack), (3, Ack)], &[up_to(3)])]);
    }

    #[test]
    fn an_open_delivery_is_never_covered() {
        check(&[1, 2, 3], &[(&[(2, Ack), (3, Ack)], &[ack(2), ack(3)])]);
        check(&[1, 2, 3, 4], &[(&[(1, Ack), (2, Ack), (4, Ack)], &[up_to(2), ack(4)])]);
        // Once the straggler is settled too, what follows goes together again.
        check(
            &[1, 2, 3, 4],
            &[(&[(2, Ack)], &[ack(2)]), (&[(1, Ack), (3, Ack), (4, Ack)], &[up_to(4)])],
        );
    }

    #[test]
    fn a_delivery_on_its_way_is_never_covered() {
        // 2 was sent before 3, but is still in another queue's stream.
        check(&[1, 3], &[(&[(1, Ack), (3, Ack)], &[ack(1), ack(3)])]);
        check(&[1, 3, 4, 2], &[(&[(1, Ack), (2, Ack), (3, Ack), (4, Ack)], &[up_to(4)])]);
    }

    #[test]
    fn what_is_given_back_goes_first() {
        check(
            &[1, 2, 3, 4],
            &[(
                &[(1, Ack), (2, Requeue), (3, Discard), (4, Ack)],
                &[Frame::Requeue { tag: 2 }, Frame::Discard { tag: 3 }, up_to(4)],
            )],
        );
    }

    #[test]
    fn a_delivery_is_settled_once() {
        check(&[1, 2], &[(&[(1, Ack)], &[ack(1)]), (&[(1, Ack), (9, Requeue)], &[])]);
    }

    #[test]
    fn owners_are_given_back() {
        let mut ledger = Ledger::new();
        ledger.arrived(1, "a");
        ledger.arrived(2, "b");
        assert_eq!(ledger.settle(&[(2, Ack), (7, Ack), (1, Requeue)]).1, ["b", "a"]);
    }
}
