//! Messages on their way back to their lists.

use redis::{Pipeline, Value};

use super::Driver;
use crate::redis::connection::{Fault, new_batch};
use crate::redis::record::{Why, returned, split};
use crate::redis::unacked;

/// How many messages are given back at once: each is read and written whole.
const FEW: usize = 16;

impl Driver {
    /// Puts back what was not handed out, and what its holder asked to have delivered again.
    pub(super) async fn send_back(&mut self) -> Result<(), Fault> {
        if !self.give_backs.is_empty() {
            // The last one first: each goes to the front.
            let calls = self
                .give_backs
                .iter()
                .rev()
                .map(|taken| self.give_back(&taken.tag, taken.list, "RPUSH", &taken.text));
            let pipeline = calls.fold(new_batch(), joined);
            let answers = self.link.send(&pipeline).await?;
            if let Some(why) = answers.into_iter().find_map(Result::err) {
                return self.excuse(why);
            }
            for taken in self.give_backs.drain(..) {
                self.held.remove(&taken.tag);
            }
        }
        while !self.requeues.is_empty() {
            self.requeue().await?;
            if self.pause.is_some() {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn requeue(&mut self) -> Result<(), Fault> {
        // The last one first: what goes to the front keeps its order.
        self.requeues.sort_by_key(|(requeue, _)| {
            std::cmp::Reverse(self.held.get(&requeue.tag).map(|(number, _)| *number))
        });
        let some = &self.requeues[..self.requeues.len().min(FEW)];
        let unacked = self.shared.keys.unacked();
        let reads = some.iter().map(|(requeue, _)| {
            let mut read = redis::cmd("HGET");
            read.arg(&unacked).arg(&*requeue.tag);
            read
        });
        let answers = self.link.send(&reads.fold(new_batch(), joined)).await?;
        let mut pipeline = new_batch();
        let mut failed = None;
        for ((requeue, why), answer) in some.iter().zip(answers) {
            let value = match answer {
                Ok(Value::BulkString(value)) => value,
                // Somebody took it for abandoned: it is back already.
                Ok(_) => continue,
                Err(why) => {
                    failed = Some(why);
                    continue;
                }
            };
            let Some((text, ..)) = split(&value) else { continue };
            let back = returned(text, *why);
            let (_, list) = self.held.get(&requeue.tag).copied().unwrap_or_default();
            let side = if *why == Why::Rejected { "LPUSH" } else { "RPUSH" };
            pipeline.add_command(self.give_back(&requeue.tag, list, side, &back.text));
        }
        if !pipeline.is_empty() {
            let answers = self.link.send(&pipeline).await?;
            failed = failed.or(answers.into_iter().find_map(Result::err));
        }
        if let Some(why) = failed {
            return self.excuse(why);
        }
        let count = some.len();
        for (requeue, _) in self.requeues.drain(..count) {
            self.held.remove(&requeue.tag);
            requeue.tell();
        }
        self.look_again();
        Ok(())
    }

    fn give_back(&self, tag: &str, list: usize, side: &str, text: &[u8]) -> redis::Cmd {
        let list = std::slice::from_ref(&self.lists[list]);
        unacked::give_back(&self.shared, tag, list, side, text, "")
    }
}

fn joined(mut pipeline: Pipeline, command: redis::Cmd) -> Pipeline {
    pipeline.add_command(command);
    pipeline
}
