//! What stands for encoders in a build without them.

use std::convert::Infallible;
use std::path::Path;

use super::{EncoderId, Wanted, Window};
use crate::error::{Error, Result};

/// An encoder; this build has none.
#[derive(Debug)]
pub struct Encoder(Infallible);

impl Encoder {
    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub fn open(_: &Path, _: Wanted) -> Result<Encoder> {
        let message = "this program was built without encoders; build it with the feature `encoder`";
        Err(Error::Usage(message.into()))
    }

    /// Which encoder it is.
    pub fn id(&self) -> &EncoderId {
        match self.0 {}
    }

    /// `P`, `C`.
    pub fn dims(&self) -> (usize, usize) {
        match self.0 {}
    }

    /// Rows and columns of the places.
    pub fn grid(&self) -> Option<(usize, usize)> {
        match self.0 {}
    }

    /// What is seen of a photograph of this size.
    pub fn window(&self, _: usize, _: usize) -> Window {
        match self.0 {}
    }

    /// Features of a photograph.
    ///
    /// # Errors
    /// Never.
    pub fn features(&self, _: &[u8], _: &Path) -> Result<Vec<f32>> {
        match self.0 {}
    }
}
