//! How many tasks run at once, which remote control may change while they do.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The slots of a worker.
#[derive(Debug)]
pub(crate) struct Slots {
    free: Arc<Semaphore>,
    state: Mutex<State>,
    taken: AtomicUsize,
    /// There are never more.
    most: usize,
}

#[derive(Debug)]
struct State {
    size: usize,
    /// Slots to be given up by whoever holds them now.
    debt: usize,
    /// What remote control set.
    range: Option<Range>,
}

/// Between what the number of slots may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) min: usize,
    pub(crate) max: usize,
}

/// A slot in use; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<Slots>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Slots {
    pub(crate) fn new(size: usize, most: usize) -> Arc<Self> {
        let size = size.max(1);
        Arc::new(Self {
            free: Arc::new(Semaphore::new(size)),
            state: Mutex::new(State { size, debt: 0, range: None }),
            taken: AtomicUsize::new(0),
            most: most.max(size),
        })
    }

    /// Waits for a free one, in turn.
    pub(crate) async fn take(self: &Arc<Self>) -> Option<Slot> {
        let permit = Arc::clone(&self.free).acquire_owned().await.ok()?;
        self.taken.fetch_add(1, Ordering::Relaxed);
        Some(Slot { slots: Arc::clone(self), permit: Some(permit) })
    }

    pub(crate) fn size(&self) -> usize {
        self.state().size
    }

    /// Slots in use.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    pub(crate) fn range(&self) -> Option<Range> {
        self.state().range
    }

    /// More or fewer of them. What runs goes on: its slot is not given out again.
    pub(crate) fn resize(&self, size: usize) -> Result<(), TooMany> {
        self.set(&mut self.state(), size)
    }

    /// All that the range allows. Idle slots cost nothing, so there is no reason to have fewer.
    pub(crate) fn set_range(&self, range: Range) -> Result<(), TooMany> {
        let mut state = self.state();
        self.set(&mut state, range.max)?;
        state.range = Some(range);
        Ok(())
    }

    fn set(&self, state: &mut State, size: usize) -> Result<(), TooMany> {
        if size > self.most {
            return Err(TooMany { most: self.most });
        }
        if size > state.size {
            let more = size - state.size;
            let kept = more.min(state.debt);
            state.debt -= kept;
            self.free.add_permits(more - kept);
        } else {
            let fewer = state.size - size;
            state.debt += fewer - self.free.forget_permits(fewer);
        }
        state.size = size;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// There is no room for so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany {
    pub(crate) most: usize,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.taken.fetch_sub(1, Ordering::Relaxed);
        let mut state = self.slots.state();
        if let Some(debt) = state.debt.checked_sub(1)
            && let Some(permit) = self.permit.take()
        {
            state.debt = debt;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn free(slots: &Arc<Slots>) -> Option<Slot> {
        tokio::time::timeout(std::time::Duration::from_secs(1), slots.take()).await.ok().flatten()
    }

    #[tokio::test(start_paused = true)]
    async fn slots_that_are_taken_away_are_those_that_come_free_first() {
        let slots = Slots::new(3, 8);
        let (first, second) = (free(&slots).await, free(&slots).await);
        assert!(first.is_some() && second.is_some());
        slots.resize(1).expect("fewer is always possible");
        assert!(free(&slots).await.is_none(), "two are in use, one is left");
        drop(first);
        assert!(free(&slots).await.is_none());
        drop(second);
        let third = free(&slots).await;
        assert!(third.is_some());
        assert_eq!((slots.taken(), slots.size()), (1, 1));
        assert!(free(&slots).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_taken_away_yet_is_given_back() {
        let slots = Slots::new(2, 4);
        let held = (free(&slots).await, free(&slots).await);
        slots.resize(1).expect("fewer is always possible");
        slots.resize(3).expect("there is room");
        let third = free(&slots).await;
        assert!(third.is_some());
        drop((held, third));
        let all = (free(&slots).await, free(&slots).await, free(&slots).await);
        assert!(all.2.is_some());
        assert!(free(&slots).await.is_none());
        assert_eq!(slots.resize(5), Err(TooMany { most: 4 }));
    }
}
