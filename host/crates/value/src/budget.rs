//! Bounds what a text may become in memory, whatever its serializer.

use std::fmt;

use crate::Value;

/// Deeper nesting is refused before it can exhaust a stack.
pub const MAX_DEPTH: usize = 512;

/// What one text may hold. Each value and each key weighs one, each list and object four more.
pub const MAX_WEIGHT: usize = 4 << 20;

/// What of a text's weight may be copies of what stands elsewhere in it: a text of a hundred bytes
/// can ask for all of them.
pub const MAX_COPIES: usize = 256 << 10;

/// What is left of all bounds while a text is read.
#[derive(Debug)]
pub struct Budget {
    depth: usize,
    weight: usize,
    copies: usize,
    /// All of the weight.
    most: usize,
}

/// Which bound a text exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    Depth,
    /// More than this weight.
    Weight(usize),
    Copies,
}

impl Budget {
    /// All of every bound.
    #[expect(clippy::new_without_default, reason = "a budget is not an empty thing")]
    pub fn new() -> Budget {
        Budget::of(MAX_WEIGHT)
    }

    /// This weight, for a format that takes longer to read, and all of the other bounds.
    pub fn of(weight: usize) -> Budget {
        Budget { depth: MAX_DEPTH, weight, copies: MAX_COPIES, most: weight }
    }

    /// Pays for a value or a key, or for several at once.
    pub fn spend(&mut self, weight: usize) -> Result<(), Exceeded> {
        self.weight = self.weight.checked_sub(weight).ok_or(Exceeded::Weight(self.most))?;
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

    /// Pays for another copy of a value, its long texts included. Looks at no more of it than can be
    /// paid for.
    pub fn spend_copy(&mut self, value: &Value) -> Result<(), Exceeded> {
        match value {
            Value::Text(text) | Value::Big(text) | Value::Tagged(_, text) => {
                self.copy(1 + text.len() / 64)
            }
            Value::Bytes(bytes) => self.copy(1 + bytes.len() / 64),
            Value::List(items) => {
                self.enter_copy()?;
                items.iter().try_for_each(|item| self.spend_copy(item))?;
                self.leave();
                Ok(())
            }
            Value::Map(map) => {
                self.enter_copy()?;
                for (key, item) in map {
                    self.copy(1 + key.len() / 64)?;
                    self.spend_copy(item)?;
                }
                self.leave();
                Ok(())
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => self.copy(1),
        }
    }

    fn enter_copy(&mut self) -> Result<(), Exceeded> {
        self.enter()?;
        self.copies = self.copies.checked_sub(4).ok_or(Exceeded::Copies)?;
        Ok(())
    }

    fn copy(&mut self, weight: usize) -> Result<(), Exceeded> {
        self.copies = self.copies.checked_sub(weight).ok_or(Exceeded::Copies)?;
        self.spend(weight)
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exceeded::Depth => write!(f, "nested deeper than {MAX_DEPTH}"),
            Exceeded::Weight(most) => write!(f, "more than {most} values"),
            Exceeded::Copies => write!(f, "more than {MAX_COPIES} copied values"),
        }
    }
}
