//! A chord's bookkeeping as it is stored (PROTOCOL 4.6).

use umbel_value::Value;

use crate::record::State;

/// One finished part of a chord's header.
#[derive(Clone, Debug, PartialEq)]
pub struct ChordPart {
    /// The chord's group.
    pub group: String,
    /// The part's task id.
    pub id: String,
    /// Its position in the header; `None` sorts last.
    pub index: Option<u32>,
    /// SUCCESS, FAILURE or REVOKED.
    pub state: State,
    /// The value, or an exception as [`crate::record::Exception::to_value`] writes it.
    pub result: Value,
}
