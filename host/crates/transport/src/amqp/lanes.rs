//! How many deliveries each queue may send us, and whose turn it is. Pure.
//!
//! A queue's prefetch count cannot be changed while it is consumed from; it grows by one more
//! consumer on the same queue and shrinks by ending one.

use std::collections::VecDeque;
use std::sync::Arc;

/// More consumers than this on one queue are replaced by one.
const MAX_CONSUMERS: usize = 4;

/// One queue that is consumed from. `D` is a delivery.
#[derive(Debug)]
pub(crate) struct Lane<D> {
    pub(crate) queue: Arc<str>,
    pub(crate) consumers: Vec<Prefetch>,
    waiting: VecDeque<D>,
}

/// One consumer on a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prefetch {
    /// Ours, to find it again.
    pub(crate) id: u32,
    pub(crate) tag: String,
    pub(crate) count: u16,
    pub(crate) unsettled: u16,
}

/// Who sent a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) lane: usize,
    pub(crate) consumer: u32,
}

/// All queues of a consumer.
#[derive(Debug)]
pub(crate) struct Lanes<D> {
    pub(crate) window: u16,
    pub(crate) lanes: Vec<Lane<D>>,
    /// Given out and unsettled.
    handed: usize,
    turn: usize,
}

/// What to change at the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// One more consumer.
    Add { lane: usize, count: u16 },
    /// One more consumer for a queue that could use what the others leave idle.
    Grow { lane: usize, count: u16 },
    /// One consumer instead of all there are.
    Replace { lane: usize, count: u16 },
    /// End the newest consumer.
    End { lane: usize },
}

impl<D> Lanes<D> {
    pub(crate) fn new(queues: &[Arc<str>], window: u16) -> Self {
        let lanes = queues.iter().map(|queue| Lane {
            queue: queue.clone(),
            consumers: Vec::new(),
            waiting: VecDeque::new(),
        });
        Self { window: window.max(1), lanes: lanes.collect(), handed: 0, turn: 0 }
    }

    /// What each queue gets to begin with.
    pub(crate) fn share(&self) -> u16 {
        let lanes = u16::try_from(self.lanes.len()).unwrap_or(u16::MAX).max(1);
        self.window.div_ceil(lanes)
    }

    /// Notes a delivery, which waits for its turn.
    pub(crate) fn arrived(&mut self, owner: Owner, delivery: D) {
        let lane = &mut self.lanes[owner.lane];
        if let Some(consumer) = lane.consumers.iter_mut().find(|one| one.id == owner.consumer) {
            consumer.unsettled += 1;
        }
        lane.waiting.push_back(delivery);
    }

    /// The next delivery to hand out, from each queue in turn, while the window allows.
    pub(crate) fn hand_out(&mut self) -> Option<D> {
        if self.handed >= usize::from(self.window) {
            return None;
        }
        for _ in 0..self.lanes.len() {
            let at = self.turn % self.lanes.len();
            self.turn = at + 1;
            if let Some(delivery) = self.lanes[at].waiting.pop_front() {
                self.handed += 1;
                return Some(delivery);
            }
        }
        None
    }

    /// A delivery that was handed out is settled.
    pub(crate) fn settled(&mut self, owner: Owner) {
        self.handed = self.handed.saturating_sub(1);
        self.released(owner);
    }

    /// Takes everything that waits; it is to be given back.
    pub(crate) fn take_waiting(&mut self) -> Vec<D> {
        self.lanes.iter_mut().flat_map(|lane| lane.waiting.drain(..)).collect()
    }

    /// A delivery left its consumer's prefetch count.
    fn released(&mut self, owner: Owner) {
        let consumers = &mut self.lanes[owner.lane].consumers;
        if let Some(consumer) = consumers.iter_mut().find(|one| one.id == owner.consumer) {
            consumer.unsettled = consumer.unsettled.saturating_sub(1);
        }
    }

    /// The one thing to change now, if any.
    pub(crate) fn step(&self) -> Option<Step> {
        let find = |wanted: &dyn Fn(&Lane<D>) -> bool| self.lanes.iter().position(wanted);
        if let Some(lane) = find(&|lane| lane.consumers.is_empty()) {
            return Some(Step::Add { lane, count: self.share() });
        }
        if let Some(lane) = find(&|lane| lane.limit() > usize::from(self.window)) {
            return Some(Step::Replace { lane, count: self.share() });
        }
        let contended = self.lanes.iter().filter(|lane| !lane.waiting.is_empty()).count();
        if contended > 1 {
            let lane = find(&|lane| lane.consumers.len() > 1)?;
            return Some(Step::End { lane });
        }
        // Free slots, nothing waits, and a queue that could not send more: the others' shares
        // lie idle.
        let free = self.window.saturating_sub(u16::try_from(self.handed).unwrap_or(u16::MAX));
        if contended > 0 || free == 0 {
            return None;
        }
        let lane = find(&|lane| lane.is_full() && lane.limit() < usize::from(self.window))?;
        if self.lanes[lane].consumers.len() >= MAX_CONSUMERS {
            return Some(Step::Replace { lane, count: self.window });
        }
        let room = usize::from(self.window) - self.lanes[lane].limit();
        Some(Step::Grow { lane, count: free.min(u16::try_from(room).unwrap_or(free)) })
    }
}

impl<D> Lane<D> {
    fn limit(&self) -> usize {
        self.consumers.iter().map(|consumer| usize::from(consumer.count)).sum()
    }

    fn is_full(&self) -> bool {
        self.consumers.iter().all(|consumer| consumer.unsettled >= consumer.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Carries steps out at once, as a broker without latency.
    struct Bench {
        lanes: Lanes<Owner>,
        ids: u32,
    }

    impl Bench {
        fn new(queues: usize, window: u16) -> Bench {
            let queues: Vec<Arc<str>> = (0..queues).map(|at| at.to_string().into()).collect();
            let mut bench = Bench { lanes: Lanes::new(&queues, window), ids: 0 };
            bench.run();
            bench
        }

        fn run(&mut self) {
            for _ in 0..100 {
                match self.lanes.step() {
                    None => return,
                    Some(Step::Add { lane, count } | Step::Grow { lane, count }) => {
                        self.add(lane, count);
                    }
                    Some(Step::Replace { lane, count }) => {
                        self.lanes.lanes[lane].consumers.clear();
                        self.add(lane, count);
                    }
                    Some(Step::End { lane }) => {
                        self.lanes.lanes[lane].consumers.pop();
                    }
                }
            }
            panic!("the steps come to no end: {:?}", self.lanes);
        }

        fn add(&mut self, lane: usize, count: u16) {
            self.ids += 1;
            let new = Prefetch { id: self.ids, tag: String::new(), count, unsettled: 0 };
            self.lanes.lanes[lane].consumers.push(new);
        }

        /// A queue that has no end fills its consumers.
        fn fill(&mut self, lane: usize) {
            let owners: Vec<Owner> = self.lanes.lanes[lane]
                .consumers
                .iter()
                .flat_map(|one| {
                    let free = one.count.saturating_sub(one.unsettled);
                    (0..free).map(|_| Owner { lane, consumer: one.id })
                })
                .collect();
            owners.into_iter().for_each(|owner| self.lanes.arrived(owner, owner));
        }

        fn take(&mut self) -> Vec<Owner> {
            std::iter::from_fn(|| self.lanes.hand_out()).collect()
        }

        fn limits(&self) -> Vec<usize> {
            self.lanes.lanes.iter().map(Lane::limit).collect()
        }
    }

    #[test]
    fn one_queue_gets_the_window() {
        let mut bench = Bench::new(1, 5);
        assert_eq!(bench.limits(), [5]);
        bench.fill(0);
        assert_eq!(bench.take().len(), 5);
        bench.run();
        assert_eq!(bench.limits(), [5]);
    }

    #[test]
    fn queues_share_the_window_and_every_queue_gets_some() {
        assert_eq!(Bench::new(2, 10).limits(), [5, 5]);
        assert_eq!(Bench::new(3, 10).limits(), [4, 4, 4]);
        assert_eq!(Bench::new(3, 1).limits(), [1, 1, 1]);
        assert_eq!(Bench::new(2, 0).limits(), [1, 1]);
    }

    #[test]
    fn the_window_is_never_exceeded_and_queues_take_turns() {
        let mut bench = Bench::new(3, 4);
        (0..3).for_each(|lane| bench.fill(lane));
        let lanes: Vec<usize> = bench.take().iter().map(|owner| owner.lane).collect();
        assert_eq!(lanes, [0, 1, 2, 0]);
    }

    #[test]
    fn a_busy_queue_gets_what_idle_ones_do_not_use() {
        let mut bench = Bench::new(2, 10);
        bench.fill(0);
        assert_eq!(bench.take().len(), 5);
        bench.run();
        assert_eq!(bench.limits(), [10, 5]);
        bench.fill(0);
        assert_eq!(bench.take().len(), 5);
        bench.run();
        assert_eq!(bench.limits(), [10, 5]);
    }

    #[test]
    fn when_others_become_busy_it_goes_back_to_its_share() {
        let mut bench = Bench::new(2, 10);
        bench.fill(0);
        let first = bench.take();
        bench.run();
        bench.fill(0);
        let held = bench.take();
        first.into_iter().for_each(|owner| bench.lanes.settled(owner));
        bench.fill(0);
        bench.fill(1);
        bench.run();
        assert_eq!(bench.limits(), [5, 5]);
        drop(held);
    }

    #[test]
    fn a_window_grows_by_what_is_missing() {
        let mut bench = Bench::new(1, 2);
        bench.fill(0);
        assert_eq!(bench.take().len(), 2);
        bench.lanes.window = 5;
        bench.run();
        assert_eq!(bench.limits(), [5]);
        bench.fill(0);
        assert_eq!(bench.take().len(), 3);
    }

    #[test]
    fn growing_by_one_again_and_again_does_not_pile_up_consumers() {
        let mut bench = Bench::new(1, 1);
        for window in 1..200 {
            bench.lanes.window = window;
            bench.run();
            bench.fill(0);
            bench.take();
            assert!(bench.lanes.lanes[0].consumers.len() <= MAX_CONSUMERS);
        }
    }

    #[test]
    fn a_window_shrinks_at_once_for_what_is_handed_out() {
        let mut bench = Bench::new(1, 5);
        bench.fill(0);
        let mut held = bench.take();
        bench.lanes.window = 2;
        bench.run();
        assert_eq!(bench.limits(), [2]);
        bench.fill(0);
        for _ in 0..3 {
            bench.lanes.settled(held.remove(0));
            assert_eq!(bench.take().len(), 0);
        }
        bench.lanes.settled(held.remove(0));
        assert_eq!(bench.take().len(), 1);
    }

    #[test]
    fn a_queue_that_lost_its_consumer_gets_a_new_one() {
        let mut bench = Bench::new(2, 4);
        bench.lanes.lanes[1].consumers.clear();
        assert_eq!(bench.lanes.step(), Some(Step::Add { lane: 1, count: 2 }));
    }
}
