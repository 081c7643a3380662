//! An id as JSON has it: a text or an integer.

use serde::Deserialize;

/// An id: a text, or an integer, which becomes its digits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "a text or an integer is needed")]
pub enum Id {
    /// As it is.
    Text(String),
    /// An integer.
    Integer(i64),
    /// An integer beyond the signed ones.
    Unsigned(u64),
}

impl Id {
    /// The id as a text.
    pub fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Integer(number) => number.to_string(),
            Self::Unsigned(number) => number.to_string(),
        }
    }
}
