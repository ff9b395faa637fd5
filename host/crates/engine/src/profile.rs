//! Where a task's CPU time goes: its own functions, looked at with every tick while it computes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use wasmtime::{AsContext, WasmBacktrace};

use crate::backtrace::Frames;

/// Between two looks. Closer together they would be mostly the profiler's own time.
pub(crate) const INTERVAL: Duration = Duration::from_millis(1);

/// What one run of a task, or several of them, did with its CPU time. A function is seen by the name
/// that the component's name section has for it; what the host does counts to whoever called it.
#[derive(Default)]
pub struct Profiler(Mutex<Tree>);

/// Functions by who called them, and which of them was at work at each look.
struct Tree {
    nodes: Vec<Node>,
    /// The node, and the time since the look before.
    looks: Vec<(usize, Duration)>,
}

struct Node {
    name: String,
    children: Vec<usize>,
    looks: u64,
}

impl Profiler {
    /// Notes where the guest that is on this stack is now, so much time after the last look.
    pub(crate) fn look(&self, store: impl AsContext, since: Duration) {
        let frames = Frames::of_stack(&WasmBacktrace::capture(store));
        let mut tree = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tree.add(frames.innermost_first().iter().rev(), since);
    }

    /// The profile in the format of V8's CPU profiles (`.cpuprofile`), which the Firefox profiler,
    /// browsers and editors open.
    pub fn json(&self) -> Value {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).json()
    }
}

impl Default for Tree {
    fn default() -> Self {
        let root = Node { name: "(root)".to_owned(), children: Vec::new(), looks: 0 };
        Self { nodes: vec![root], looks: Vec::new() }
    }
}

impl Tree {
    fn add<'a>(&mut self, outermost_first: impl Iterator<Item = &'a String>, since: Duration) {
        let mut at = 0;
        for name in outermost_first {
            let mut children = self.nodes[at].children.iter().copied();
            let known = children.find(|child| self.nodes[*child].name == *name);
            at = known.unwrap_or_else(|| {
                let child = self.nodes.len();
                self.nodes.push(Node { name: name.clone(), children: Vec::new(), looks: 0 });
                self.nodes[at].children.push(child);
                child
            });
        }
        self.nodes[at].looks += 1;
        self.looks.push((at, since));
    }

    /// Ids begin with 1; a node comes after the one it is a child of.
    fn json(&self) -> Value {
        let micros = |time: &Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let node = |(at, node): (usize, &Node)| {
            json!({
                "id": at + 1,
                "callFrame": {
                    "functionName": node.name,
                    "scriptId": "0",
                    "url": "",
                    "lineNumber": -1,
                    "columnNumber": -1,
                },
                "hitCount": node.looks,
                "children": node.children.iter().map(|child| child + 1).collect::<Vec<_>>(),
            })
        };
        json!({
            "nodes": self.nodes.iter().enumerate().map(node).collect::<Vec<_>>(),
            "startTime": 0,
            "endTime": self.looks.iter().map(|(_, since)| micros(since)).sum::<u64>(),
            "samples": self.looks.iter().map(|(at, _)| at + 1).collect::<Vec<_>>(),
            "timeDeltas": self.looks.iter().map(|(_, since)| micros(since)).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_told_apart_by_who_called_them() {
        let mut tree = Tree::default();
        for (stack, millis) in [("run read", 1), ("run write", 2), ("run read", 3), ("read", 4)] {
            let stack: Vec<String> = stack.split(' ').map(str::to_owned).collect();
            tree.add(stack.iter(), Duration::from_millis(millis));
        }
        let profile = tree.json();
        let names: Vec<&Value> = profile["nodes"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|node| &node["callFrame"]["functionName"])
            .collect();
        assert_eq!(names, ["(root)", "run", "read", "write", "read"]);
        assert_eq!(profile["nodes"][0]["children"], json!([2, 5]));
        assert_eq!(profile["nodes"][1]["children"], json!([3, 4]));
        assert_eq!(profile["nodes"][2]["hitCount"], 2);
        assert_eq!(profile["samples"], json!([3, 4, 3, 5]));
        assert_eq!(profile["timeDeltas"], json!([1000, 2000, 3000, 4000]));
        assert_eq!(profile["endTime"], 10_000);
    }
}
