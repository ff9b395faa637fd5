//! Bounds what a text may become in memory, whatever its serializer.

use std::fmt;

use crate::Value;

/// Deeper nesting is refused before it can exhaust a stack.
pub const MAX_DEPTH: usize = 512;

/// What one text may hold. Each value and each key weighs one, each list and object four more.
pub const MAX_WEIGHT: usize = 4 << 20;

/// What is left of both bounds while a text is read.
#[derive(Debug)]
pub struct Budget {
    depth: usize,
    weight: usize,
}

/// Which bound a text exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    Depth,
    Weight,
}

impl Budget {
    /// All of both bounds.
    #[expect(clippy::new_without_default, reason = "a budget is not an empty thing")]
    pub fn new() -> Budget {
        Budget { depth: MAX_DEPTH, weight: MAX_WEIGHT }
    }

    /// Pays for a value or a key, or for several at once.
    pub fn spend(&mut self, weight: usize) -> Result<(), Exceeded> {
        self.weight = self.weight.checked_sub(weight).ok_or(Exceeded::Weight)?;
        Ok(())
    }

    /// Pays for a list or an object, until `leave`.
    pub fn enter(&mut self) -> Result<(), Exceeded> {
        self.depth = self.depth.checked_sub(1).ok_or(Exceeded::Depth)?;
        self.spend(4)
    }

    /// Ends what `enter` began.
    pub fn leave(&mut self) {
        self.depth += 1;
    }

    /// Pays for another copy of a value, its long texts included.
    pub fn spend_copy(&mut self, value: &Value) -> Result<(), Exceeded> {
        match value {
            Value::Text(text) | Value::Big(text) | Value::Tagged(_, text) => {
                self.spend(1 + text.len() / 64)
            }
            Value::Bytes(bytes) => self.spend(1 + bytes.len() / 64),
            Value::List(items) => {
                self.enter()?;
                items.iter().try_for_each(|item| self.spend_copy(item))?;
                self.leave();
                Ok(())
            }
            Value::Map(map) => {
                self.enter()?;
                for (key, item) in map {
                    self.spend(1 + key.len() / 64)?;
                    self.spend_copy(item)?;
                }
                self.leave();
                Ok(())
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => self.spend(1),
        }
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exceeded::Depth => write!(f, "nested deeper than {MAX_DEPTH}"),
            Exceeded::Weight => write!(f, "more than {MAX_WEIGHT} values"),
        }
    }
}
