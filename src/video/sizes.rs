//! What the sizes that a container declares say of the size of its file.

/// What the declared sizes tell of a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Sizes {
    /// The headers declare no size, or the container is not one of those read here.
    Unknown,
    /// All that is declared is there.
    Whole,
    /// More is declared than there is, in these words, but every part of the content lies inside the file.
    TooLarge(String),
    /// More is declared than there is, in these words; the file is whole if all samples of its index lie inside it.
    AskIndex(String),
    /// More is declared than there is, in these words.
    Cut(String),
}

impl Sizes {
    /// How more is declared than there is, where nothing shows that the content is complete all the same.
    pub fn missing(self) -> Option<String> {
        match self {
            Self::AskIndex(sign) | Self::Cut(sign) => Some(sign),
            Self::Unknown | Self::Whole | Self::TooLarge(_) => None,
        }
    }
}

/// The words for a part that ends behind the file's end.
pub fn too_long(what: &str, end: u64, length: u64) -> String {
    format!("its {what} ends at byte {end}, the file at {length}")
}
