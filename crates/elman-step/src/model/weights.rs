//! Quantised weights: bfloat16, or signed bytes with a scale for each row of the matrix.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use elman_kernels::step::Precision;

use super::{Document, Dtype, ModelError};

/// Suffix that turns the name of a matrix of bytes into that of its scales `[rows]`.
pub const SCALE: &str = ".scale";

/// The name of the scales of a matrix of bytes.
pub fn scale_name(name: &str) -> String {
    format!("{name}{SCALE}")
}

impl Document<'_> {
    /// The precision of the weights in the file: bytes or bfloat16 if any tensor is.
    pub fn precision(&self) -> Precision {
        let has = |dtype| self.tensors.values().any(|tensor| tensor.dtype == dtype);
        if has(Dtype::I8) {
            Precision::Int8
        } else if has(Dtype::BF16) {
            Precision::Bf16
        } else {
            Precision::F32
        }
    }

    /// Whether a tensor holds the scales of another.
    pub fn is_scale(&self, name: &str) -> bool {
        let of = name.strip_suffix(SCALE).and_then(|name| self.tensors.get(name));
        of.is_some_and(|tensor| tensor.dtype == Dtype::I8)
    }

    /// A tensor's elements, stored as `f32`, bfloat16 or bytes with scales.
    pub(super) fn weights(&self, name: &str, dims: Option<&[usize]>) -> Result<Vec<f32>, ModelError> {
        match self.tensor(name).map(|view| view.dtype) {
            Some(Dtype::BF16) => {
                let (elements, _) = self.typed(name, dims, Dtype::BF16)?.as_chunks();
                Ok(elements.iter().map(|half| f32::from_bits(u32::from(u16::from_le_bytes(*half)) << 16)).collect())
            }
            Some(Dtype::I8) => self.bytes_times_scales(name, dims),
            _ => self.elements(name, dims, f32::from_le_bytes),
        }
    }

    fn bytes_times_scales(&self, name: &str, dims: Option<&[usize]>) -> Result<Vec<f32>, ModelError> {
        let bytes = self.typed(name, dims, Dtype::I8)?;
        let rows = self.tensor(name).and_then(|view| view.dims.first().copied()).unwrap_or(1);
        let scales: Vec<f32> = self.elements(&scale_name(name), Some(&[rows]), f32::from_le_bytes)?;
        let rows = bytes.chunks_exact((bytes.len() / rows.max(1)).max(1)).zip(&scales);
        // Rounding these to bytes again gives the same bytes and scale. The largest of a row is 127 s, where s was some
        // m / 127 rounded: |128 m - 127 s| <= 63 in units of the last place, so that the rounded 127 s lies near enough
        // for its 127th part to be rounded to s.
        Ok(rows.flat_map(|(row, scale)| row.iter().map(move |&byte| f32::from(byte as i8) * scale)).collect())
    }
}

#[cfg(test)]
mod tests {
    use elman_kernels::step::round_to_bytes;

    #[test]
    fn rows_rounded_again_keep_their_bytes_and_scale() {
        let mut bits = 1u32;
        for _ in 0..50_000 {
            bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Any positive f32, small ones included, whose products stay finite.
            let max = f32::from_bits(bits % 0x7b00_0000);
            let row: Vec<f32> = (0..9).map(|i| max * (i as f32 / 8.0) * [1.0, -1.0][i % 2]).collect();
            let (mut bytes, mut again) = ([0; 9], [0; 9]);
            let scale = round_to_bytes(&row, &mut bytes);
            let scale_again = round_to_bytes(&bytes.map(|byte| f32::from(byte) * scale), &mut again);
            assert!(scale_again.to_bits() == scale.to_bits() && bytes == again, "{max:e}: {bytes:?} {again:?}");
        }
    }
}
