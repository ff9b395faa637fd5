//! How a run ended, and what it cost.

use std::time::Duration;

use umbel_value::Value;

/// Every way a run can end. None of them is an error of ours.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It returned.
    Done(Value),
    /// It failed, or its arguments did not fit and it never started.
    Failed(Failure),
    /// It wants to be run again. `None`: the policy decides.
    Retry { cause: Option<Failure>, after: Option<Duration>, max: Option<u32> },
    /// It gives its message back.
    Rejected { requeue: bool },
    /// It wants neither result nor retry.
    Ignored,
    /// It was stopped at a limit.
    OverLimit(Limit, Traceback),
    /// It trapped, panicked or overflowed its stack.
    Crashed {
        /// What happened, in one line.
        reason: String,
        traceback: Traceback,
    },
    /// It called something of the host that it is not granted.
    Denied { what: String, traceback: Traceback },
    /// It was cut off because the worker wants it to end (revoked, or the worker stops).
    Stopped,
}

impl Outcome {
    /// Every word that [`Outcome::fault`] may give.
    pub const FAULTS: [&str; 11] = [
        "error",
        "trap",
        "denied",
        "time",
        "soft-time",
        "cpu",
        "memory",
        "fuel",
        "output",
        "stack",
        "host-calls",
    ];

    /// Why it did not return, in one word of a fixed set; `None` if it did, or ended as it wished.
    pub fn fault(&self) -> Option<&'static str> {
        match self {
            Self::Failed(_) => Some("error"),
            Self::OverLimit(limit, _) => Some(limit.name()),
            Self::Crashed { .. } => Some("trap"),
            Self::Denied { .. } => Some("denied"),
            Self::Done(_) | Self::Retry { .. } | Self::Rejected { .. } => None,
            Self::Ignored | Self::Stopped => None,
        }
    }
}

impl Limit {
    /// Which it is, in one word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Time(_) => "time",
            Self::SoftTime(_) => "soft-time",
            Self::Cpu(_) => "cpu",
            Self::Memory(_) => "memory",
            Self::Fuel(_) => "fuel",
            Self::Output(_) => "output",
            Self::Stack(_) => "stack",
            Self::HostCalls(_) => "host-calls",
        }
    }
}

/// The wasm backtrace with function names, innermost first; `None` where there is none.
pub type Traceback = Option<String>;

/// An exception as the caller will see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    pub kind: Kind,
    /// The exception's constructor arguments; usually one message.
    pub args: Vec<Value>,
    pub traceback: Traceback,
}

/// Where an exception's class comes from. Which module a name gets is decided by the worker.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// One of Python's own (`TypeError`, `ValueError`, `OverflowError`, …), chosen by the host.
    Builtin(&'static str),
    /// One of Umbel's own (`TaskError`, …), chosen by the host.
    Own(&'static str),
    /// Chosen by the guest: untrusted text, not yet checked.
    Guest(String),
}

impl Failure {
    /// A Python builtin exception with one message.
    pub fn builtin(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind: Kind::Builtin(kind), args: vec![Value::Text(message.into())], traceback: None }
    }

    /// One of Umbel's own exceptions with one message.
    pub fn own(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind: Kind::Own(kind), args: vec![Value::Text(message.into())], traceback: None }
    }
}

/// A limit that a run hit; each carries the limit itself, not what was used.
#[derive(Clone, Debug, PartialEq)]
pub enum Limit {
    /// The hard time limit.
    Time(Duration),
    /// The soft time limit, which the run did not take upon itself.
    SoftTime(Duration),
    /// CPU time.
    Cpu(Duration),
    /// Bytes of linear memory.
    Memory(u64),
    /// Units of fuel.
    Fuel(u64),
    /// Bytes of the encoded result.
    Output(u64),
    /// Bytes of wasm stack.
    Stack(u64),
    /// Bytes copied, handles held or calls made across the boundary; the text names which.
    HostCalls(String),
}

/// What one run used. `limit`s are those that were in force.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cost {
    /// From start of instantiation to the end of the store.
    pub wall: Duration,
    /// CPU time of the guest and of host calls on its behalf.
    pub cpu: Duration,
    /// The part of `wall` before the task's function was called.
    pub instantiate: Duration,
    /// Highest total of linear memory, in bytes.
    pub memory: u64,
    /// Fuel consumed, when it is metered.
    pub fuel: Option<u64>,
    /// Bytes of the result as JSON.
    pub output: u64,
    /// Bytes logged.
    pub log: u64,
    /// Progress updates that the run gave, dropped ones included.
    pub progress: u64,
    /// Calls of the host.
    pub host_calls: u64,
    /// Most elements that one table had.
    pub table_elements: u64,
    /// Bytes of randomness drawn.
    pub random: u64,
    /// Tasks and canvases sent.
    pub submissions: u64,
    /// Requests sent out.
    pub requests: u64,
    /// Bytes sent and received over the network.
    pub request_bytes: u64,
    /// Most sockets open at once.
    pub sockets: u64,
}

impl Cost {
    /// The bill of two runs, one after the other.
    pub fn and(self, next: &Cost) -> Cost {
        let fuel = match (self.fuel, next.fuel) {
            (Some(one), Some(other)) => Some(one.saturating_add(other)),
            (one, other) => one.or(other),
        };
        Cost {
            wall: self.wall + next.wall,
            cpu: self.cpu + next.cpu,
            instantiate: self.instantiate + next.instantiate,
            memory: self.memory.max(next.memory),
            fuel,
            output: self.output + next.output,
            log: self.log + next.log,
            progress: self.progress + next.progress,
            host_calls: self.host_calls + next.host_calls,
            table_elements: self.table_elements.max(next.table_elements),
            random: self.random + next.random,
            submissions: self.submissions + next.submissions,
            requests: self.requests + next.requests,
            request_bytes: self.request_bytes + next.request_bytes,
            sockets: self.sockets.max(next.sockets),
        }
    }
}

/// How a run ended and what it cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    pub outcome: Outcome,
    pub cost: Cost,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_a_word_of_the_fixed_set() {
        let limits = [
            Limit::Time(Duration::ZERO),
            Limit::SoftTime(Duration::ZERO),
            Limit::Cpu(Duration::ZERO),
            Limit::Memory(0),
            Limit::Fuel(0),
            Limit::Output(0),
            Limit::Stack(0),
            Limit::HostCalls(String::new()),
        ];
        let limits = limits.map(|limit| Outcome::OverLimit(limit, None));
        let others = [
            Outcome::Failed(Failure::own("TaskError", "bad")),
            Outcome::Crashed { reason: String::new(), traceback: None },
            Outcome::Denied { what: String::new(), traceback: None },
        ];
        let faults: Vec<_> = others.iter().chain(&limits).filter_map(Outcome::fault).collect();
        assert_eq!(faults, Outcome::FAULTS);
    }
}
