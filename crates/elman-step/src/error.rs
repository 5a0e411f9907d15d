//! Errors in weights, sizes and inputs.

use alloc::string::String;
use core::fmt;

/// Why a cell or network cannot be built or stepped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A size is 0.
    Empty {
        /// Which.
        what: &'static str,
    },
    /// A slice does not have the length that the sizes require.
    Length {
        /// Which slice.
        what: String,
        /// The required length.
        want: usize,
        /// The actual length.
        got: usize,
    },
    /// A token outside the vocabulary.
    Token {
        /// The token.
        token: u32,
        /// Size of the vocabulary.
        vocab: usize,
    },
    /// Vectors given to a network of tokens, or tokens to one of vectors.
    WrongInput {
        /// What the network reads.
        reads: String,
    },
    /// A stream that does not exist.
    Stream {
        /// Its index.
        row: usize,
        /// Number of streams.
        rows: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty { what } => write!(f, "{what} is 0, but must be at least 1"),
            Self::Length { what, want, got } => write!(f, "{what} has {got} values, but the sizes require {want}"),
            Self::Token { token, vocab } => {
                write!(f, "token {token} is outside the vocabulary, which has tokens 0 to {}", vocab.saturating_sub(1))
            }
            Self::WrongInput { reads } => write!(f, "this network reads {reads}"),
            Self::Stream { row, rows } => {
                write!(f, "there is no stream {row}; streams are 0 to {}", rows.saturating_sub(1))
            }
        }
    }
}

impl core::error::Error for Error {}

/// Checks the length of a slice.
pub(crate) fn check_length(what: &str, want: Option<usize>, got: usize) -> Result<(), Error> {
    let want = want.unwrap_or(usize::MAX);
    if want == got { Ok(()) } else { Err(Error::Length { what: what.into(), want, got }) }
}
