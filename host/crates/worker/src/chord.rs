//! Counting a part into its chord, and seeing the body sent by whoever completes it (PROTOCOL 4.6,
//! 5.4, 5.5).

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;
use umbel_protocol::canvas;
use umbel_protocol::chord::ChordPart;
use umbel_protocol::record::{Exception, State};
use umbel_transport::reconnect::Backoff;
use umbel_transport::results::{Claim, Joined, ResultStore};
use umbel_value::Value;

use crate::carry::{Carrier, Halt, Work, chords, insist, pause};
use crate::exception;
use crate::hop::Hop;
use crate::verdict::{self, Part};

/// How long a claim is held at a time while the body is sent: the chord of a worker that died waits
/// no longer.
const SENDING: Duration = Duration::from_secs(10);

/// How long to wait for a result that a nested header names and no part brought.
const LATE: Duration = Duration::from_secs(3);

/// One part on its way into its chord.
pub(crate) struct Joining<'c, 'a> {
    carrier: &'c mut Carrier<'a>,
    part: &'c Part,
}

/// Why a body is not sent.
struct Broken {
    /// What the body fails with.
    chord: Exception,
    /// What the part failed with.
    original: Exception,
}

impl Broken {
    fn by(id: &str, original: Exception) -> Broken {
        let text = format!("Dependency {id} raised {original}");
        Broken { chord: exception::celery("ChordError", text), original }
    }

    fn because(what: String) -> Broken {
        let chord = exception::celery("ChordError", what);
        Broken { original: chord.clone(), chord }
    }
}

impl<'c, 'a> Joining<'c, 'a> {
    pub(crate) fn of(carrier: &'c mut Carrier<'a>, part: &'c Part) -> Self {
        Self { carrier, part }
    }

    /// Counts the part in; gives what is left to do if the chord broke.
    pub(crate) async fn run(mut self) -> Result<Vec<Work>, Halt> {
        let worker = self.carrier.worker;
        let store = match chords(worker) {
            Ok(store) => Arc::clone(store),
            Err(_) => return Ok(self.uncounted()),
        };
        let mut backoff = Backoff::default();
        loop {
            let joined =
                insist(worker, "the part is not counted yet", || store.join(&self.part.part));
            match joined.await {
                Ok(Joined::Waiting | Joined::Done) => return Ok(Vec::new()),
                Ok(Joined::Complete { claim, parts }) => {
                    if let Some(work) = self.complete(&store, claim, parts).await? {
                        return Ok(work);
                    }
                }
                // Whoever holds the claim may die with it; then it is ours.
                Ok(Joined::Claimed) => {}
                Err(Halt::Impossible(_)) => return Ok(self.uncounted()),
                Err(halt) => return Err(halt),
            }
            pause(worker, &mut backoff).await?;
        }
    }

    /// Nobody here can count: the sender must have another way (PROTOCOL 4.6, `chord_unlock`).
    fn uncounted(&self) -> Vec<Work> {
        let ChordPart { group, id, .. } = &self.part.part;
        warn!(%id, "part of chord {group}, which this worker's result backend cannot count");
        Vec::new()
    }

    /// `None`: the claim was lost on the way, ask again.
    async fn complete(
        &mut self,
        store: &Arc<dyn ResultStore>,
        claim: Claim,
        parts: Vec<ChordPart>,
    ) -> Result<Option<Vec<Work>>, Halt> {
        let broken = match self.results(store, &parts).await? {
            Ok(results) => {
                let extended = insist(self.carrier.worker, "the claim is not extended yet", || {
                    store.extend_claim(&claim, SENDING)
                });
                if !extended.await? {
                    return Ok(None);
                }
                self.carrier.passed(Hop::Claim);
                match self.send_while_held(store, &claim, results).await {
                    Ok(()) => {
                        self.carrier.end_chord(&claim, true).await?;
                        return Ok(Some(Vec::new()));
                    }
                    Err(Halt::Impossible(why)) => Broken::because(format!("Callback error: {why}")),
                    Err(halt) => return Err(halt),
                }
            }
            Err(broken) => broken,
        };
        let (abandoned, now) = (canvas::abandon_body(&self.part.body), self.carrier.worker.now());
        let lost = verdict::lost(abandoned, &broken.chord, &broken.original, None, now);
        let mut work: Vec<Work> = lost.into_iter().flat_map(Work::of_lost).collect();
        work.push(Work::EndChord(claim));
        Ok(Some(work))
    }

    async fn send_while_held(
        &mut self,
        store: &Arc<dyn ResultStore>,
        claim: &Claim,
        results: Vec<Value>,
    ) -> Result<(), Halt> {
        let mut sending = pin!(self.send_body(results));
        loop {
            tokio::select! {
                biased;
                sent = &mut sending => return sent,
                () = tokio::time::sleep(SENDING / 2) => {
                    // Whoever took it meanwhile sends the body as well, under the same id.
                    if let Err(why) = store.extend_claim(claim, SENDING).await {
                        warn!(%why, "a chord's claim is not extended");
                    }
                }
            }
        }
    }

    async fn send_body(&mut self, results: Vec<Value>) -> Result<(), Halt> {
        let body = &self.part.body;
        let plan = self.carrier.plan(|sender| canvas::body(body, results, sender));
        let plan = plan.map_err(|error| Halt::Impossible(exception::canvas(&error)))?;
        self.carrier.send_all(&plan).await
    }

    /// The header's values in order; nested as the group that was kept for it says.
    async fn results(
        &self,
        store: &Arc<dyn ResultStore>,
        parts: &[ChordPart],
    ) -> Result<Result<Vec<Value>, Broken>, Halt> {
        if let Some(failed) = parts.iter().find(|part| part.state != State::Success) {
            return Ok(Err(Broken::by(&failed.id, cause(&failed.result))));
        }
        let worker = self.carrier.worker;
        let group = &self.part.part.group;
        let kept = insist(worker, "the group is not read yet", || store.group(group)).await;
        let Ok(Some(tuple)) = kept else {
            return match kept {
                Err(Halt::Interrupted) => Err(Halt::Interrupted),
                _ => Ok(Ok(parts.iter().map(|part| part.result.clone()).collect())),
            };
        };
        let mut known: HashMap<String, Value> =
            parts.iter().map(|part| (part.id.clone(), part.result.clone())).collect();
        let mut leaves = Vec::new();
        gather_leaves(&tuple, &mut leaves);
        for id in leaves {
            if known.contains_key(&id) {
                continue;
            }
            match insist(worker, "a result is not read yet", || store.wait(&id, LATE)).await? {
                Some(record) if record.state == State::Success => {
                    known.insert(id, record.result);
                }
                Some(record) if record.state.is_ready() => {
                    return Ok(Err(Broken::by(&id, cause(&record.result))));
                }
                _ => return Ok(Err(Broken::because(format!("Dependency {id} has no result")))),
            }
        }
        match shape(&tuple, &known) {
            Value::List(results) => Ok(Ok(results)),
            other => Ok(Ok(vec![other])),
        }
    }
}

fn cause(result: &Value) -> Exception {
    Exception::from_value(result)
        .unwrap_or_else(|| Exception::new("builtins", "Exception", result.to_json()))
}

/// A result tuple's own id and, for a group, its members (PROTOCOL 4.5).
fn parts_of(tuple: &Value) -> Option<(&str, Option<&[Value]>)> {
    let [own, members] = tuple.as_list()? else { return None };
    let id = own.as_list()?.first()?.as_str()?;
    Some((id, members.as_list()))
}

fn gather_leaves(tuple: &Value, leaves: &mut Vec<String>) {
    match parts_of(tuple) {
        Some((_, Some(members))) => members.iter().for_each(|one| gather_leaves(one, leaves)),
        Some((id, None)) => leaves.push(id.to_owned()),
        None => {}
    }
}

fn shape(tuple: &Value, known: &HashMap<String, Value>) -> Value {
    match parts_of(tuple) {
        Some((_, Some(members))) => members.iter().map(|one| shape(one, known)).collect(),
        Some((id, None)) => known.get(id).cloned().unwrap_or_default(),
        None => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_group_gives_the_values_their_nesting() {
        let leaf = |id: &str| canvas::result_tuple(id);
        let group = |id: &str, members: Vec<Value>| -> Value {
            vec![vec![Value::from(id), Value::Null].into(), members.into()].into()
        };
        let tuple = group("g", vec![leaf("a"), group("h", vec![leaf("b"), leaf("c")])]);
        let mut leaves = Vec::new();
        gather_leaves(&tuple, &mut leaves);
        assert_eq!(leaves, ["a", "b", "c"]);
        let known: HashMap<String, Value> =
            leaves.iter().cloned().zip([1i64, 2, 3].map(Value::from)).collect();
        assert_eq!(
            shape(&tuple, &known).to_json(),
            Value::from_json(b"[1,[2,3]]").expect("JSON").to_json()
        );
    }
}
