//! The remaining steps of a chain: kept as the bytes they came in, so that a long chain is not read
//! and written again at each of its steps.

use bytes::Bytes;
use umbel_value::Value;
use umbel_value::json::{JsonError, Reader};

/// Steps in reverse order: the next one is the last.
#[derive(Clone, Debug)]
pub enum Chain {
    /// Nothing but a list makes sense; kept as it came.
    Read(Value),
    /// A list as JSON, checked but not opened.
    Unread(Unread),
}

/// What stands between the brackets of a list in JSON.
#[derive(Clone, Debug, Default)]
pub struct Unread {
    text: Bytes,
    /// Known since the text was checked; what is left after a step does not know it.
    cut: Option<Cut>,
}

/// Where the last element begins, and where the one before it ends.
#[derive(Clone, Copy, Debug)]
struct Cut {
    before: usize,
    last: usize,
}

impl Chain {
    /// All of it, read.
    pub fn value(&self) -> Result<Value, String> {
        match self {
            Chain::Read(value) => Ok(value.clone()),
            Chain::Unread(unread) => {
                let mut text = Vec::with_capacity(unread.text.len() + 2);
                unread.write(&mut text);
                Value::from_json(&text).map_err(|error| error.to_string())
            }
        }
    }

    /// Appends it as JSON.
    pub(super) fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Chain::Read(value) => value.write_json(out),
            Chain::Unread(unread) => unread.write(out),
        }
    }

    /// How many bytes of it were not read.
    pub(crate) fn unread(&self) -> usize {
        match self {
            Chain::Read(_) => 0,
            Chain::Unread(unread) => unread.text.len(),
        }
    }
}

impl From<Value> for Chain {
    fn from(value: Value) -> Chain {
        Chain::Read(value)
    }
}

impl From<Vec<Value>> for Chain {
    fn from(steps: Vec<Value>) -> Chain {
        Chain::Read(steps.into())
    }
}

/// The same steps are equal, read or not.
impl PartialEq for Chain {
    fn eq(&self, other: &Chain) -> bool {
        match (self, other) {
            (Chain::Read(one), Chain::Read(other)) => one == other,
            (Chain::Unread(one), Chain::Unread(other)) if one.text == other.text => true,
            (one, other) => one.value().is_ok_and(|one| other.value() == Ok(one)),
        }
    }
}

impl Unread {
    /// Takes a list from the reader. `source` is what the reader reads.
    pub(super) fn take(reader: &mut Reader<'_>, source: &Bytes) -> Result<Unread, JsonError> {
        let (mut first, mut end, mut cut) = (None, 0, None);
        reader.array(|reader| {
            let element = reader.skip()?;
            let first = *first.get_or_insert(element.start);
            cut = Some(Cut { before: end, last: element.start - first });
            end = element.end - first;
            Ok(())
        })?;
        let text = first.map_or_else(Bytes::new, |first| source.slice(first..first + end));
        Ok(Unread { text, cut })
    }

    /// The next step, read, and the steps that are left.
    pub(crate) fn pop(&self) -> Result<Option<(Value, Chain)>, String> {
        if self.text.is_empty() {
            return Ok(None);
        }
        let cut = match self.cut {
            Some(cut) => cut,
            None => self.cut().map_err(|error| error.to_string())?,
        };
        let next = Value::from_json(&self.text[cut.last..]).map_err(|error| error.to_string())?;
        let left = Unread { text: self.text.slice(..cut.before), cut: None };
        Ok(Some((next, Chain::Unread(left))))
    }

    fn cut(&self) -> Result<Cut, JsonError> {
        let mut list = Vec::with_capacity(self.text.len() + 2);
        self.write(&mut list);
        let list = Bytes::from(list);
        let mut reader = Reader::new(&list)?;
        let found = Unread::take(&mut reader, &list)?.cut;
        found.ok_or_else(|| reader.error("expected a list with an element"))
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        out.extend_from_slice(&self.text);
        out.push(b']');
    }
}
