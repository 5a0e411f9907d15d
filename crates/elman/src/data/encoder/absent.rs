//! Stub of the encoder for builds without the feature `encoder`.

use std::convert::Infallible;
use std::path::Path;

use super::{EncoderId, Wanted, Window};
use crate::error::{Error, Result};

/// An encoder; this build has none, so the type is uninhabited.
#[derive(Debug)]
pub struct Encoder(Infallible);

impl Encoder {
    /// Always fails.
    ///
    /// # Errors
    /// Always.
    pub fn open(_: &Path, _: Wanted) -> Result<Encoder> {
        let message = "this program was built without encoders; build it with `--features encoder`";
        Err(Error::Usage(message.into()))
    }

    /// The encoder's identity.
    pub fn id(&self) -> &EncoderId {
        match self.0 {}
    }

    /// `P`, `C`.
    pub fn dims(&self) -> (usize, usize) {
        match self.0 {}
    }

    /// Rows and columns of the positions.
    pub fn grid(&self) -> Option<(usize, usize)> {
        match self.0 {}
    }

    /// The part of an image of this size that is used.
    pub fn window(&self, _: usize, _: usize) -> Window {
        match self.0 {}
    }

    /// Features of an image.
    ///
    /// # Errors
    /// Never.
    pub fn features(&self, _: &[u8], _: &Path) -> Result<Vec<f32>> {
        match self.0 {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opening_an_encoder_names_the_missing_feature() {
        let error = Encoder::open(Path::new("x.onnx"), Wanted::Named("")).unwrap_err().to_string();
        assert!(error.contains("without encoders") && error.contains("`--features encoder`"), "{error}");
    }
}
