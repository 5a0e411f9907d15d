//! The weights of a layer in the order a step reads them.

use super::format::{INT8_DEPTH, Precision, to_bytes, words};
use crate::buffer::Buffer;
use crate::isa::Isa;
use crate::mat::{Mat, size};
use crate::scalar::round_to_bf16;

/// Sums a block of panels keeps in flight.
pub(super) const SUMS: usize = 8;

/// `W_ih` `[gates * units, I]` and `W_hh` `[gates * units, H]` of a layer, packed for steps of few rows.
#[derive(Clone)]
pub struct Panels {
    pub(super) isa: Isa,
    pub(super) precision: Precision,
    pub(super) gates: usize,
    pub(super) units: usize,
    /// `I` (0 where a table replaces the input product) and `H`.
    pub(super) depths: [usize; 2],
    /// Rows of words in each part of a block.
    pub(super) words: [usize; 2],
    /// Blocks in order, each with its part for `x` before that for `h_prev`; see [`super::format::Format`].
    pub(super) data: Buffer<u32>,
}

/// Adjacent panels, which a step reads as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// The first panel.
    pub(super) first: usize,
    /// Number of panels: [`widest`] or a smaller power of two.
    pub(super) panels: usize,
}

/// Most panels per block in a layer with `panels`. A wide block keeps [`SUMS`] sums (six with three gates) and reads
/// `x` and `h_prev` less often; a narrow one ends sooner, so that its gates overlap with the product of the next. With
/// four gates the second counts more at every size (on Zen 4 14 % at 32 units, 8 % at 64); with three only where the
/// weights do not fit the first cache and the gates are still a tenth of the time (9 % at 64 units, -8 % at 32, -1 %
/// from 128 on, all in f32; in bytes 64 units lose 13 %).
pub(super) const fn widest(gates: usize, panels: usize) -> usize {
    match gates {
        4 => 1,
        3 if 3 <= panels && panels <= 6 => 1,
        3 => 2,
        _ => SUMS / gates,
    }
}

/// Blocks of `panels` panels: the widest first, then each power of two that is left.
pub(super) fn blocks(gates: usize, panels: usize) -> usize {
    let widest = widest(gates, panels);
    panels / widest + (panels % widest).count_ones() as usize
}

/// The block with this number.
pub(super) fn block(gates: usize, panels: usize, number: usize) -> Block {
    let widest = widest(gates, panels);
    let full = panels / widest;
    if number < full {
        return Block { first: number * widest, panels: widest };
    }
    let mut first = full * widest;
    for _ in full..number {
        first += 1 << (panels - first).ilog2();
    }
    Block { first, panels: 1 << (panels - first).ilog2() }
}

impl Panels {
    /// Packs `w_ih` (without columns for a layer fed from a table) and `w_hh`, gate after gate in their rows. Bytes
    /// fall back to bfloat16 where more than 65,536 of their products would be added.
    ///
    /// # Panics
    /// If the rows differ, are not a multiple of `gates`, or `gates` is not from 1 to 4.
    pub fn new(precision: Precision, gates: usize, w_ih: Mat<f32>, w_hh: Mat<f32>) -> Self {
        Self::new_on(Isa::best(), precision, gates, w_ih, w_hh)
    }

    pub(crate) fn new_on(isa: Isa, precision: Precision, gates: usize, w_ih: Mat<f32>, w_hh: Mat<f32>) -> Self {
        assert!((1..=4).contains(&gates), "panels support 1 to 4 gates");
        assert!(w_ih.rows == w_hh.rows && w_hh.rows.is_multiple_of(gates), "W_ih and W_hh differ in rows");
        let depths = [w_ih.cols, w_hh.cols];
        let precision = match precision {
            Precision::Int8 if depths.iter().any(|&depth| depth > INT8_DEPTH) => Precision::Bf16,
            precision => precision,
        };
        let isa = if precision == Precision::Int8 { isa.with_byte_products() } else { isa };
        let words = depths.map(|depth| words(precision, depth));
        let units = w_hh.rows / gates;
        let mut panels = Panels { isa, precision, gates, units, depths, words, data: Buffer::new() };
        panels.pack([w_ih, w_hh]);
        panels
    }

    /// Units of the layer.
    pub fn units(&self) -> usize {
        self.units
    }

    /// `I`, the width of dense input; 0 where a table replaces it.
    pub fn inputs(&self) -> usize {
        self.depths[0]
    }

    /// Precision of the weights.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Panels of one register of units.
    pub(super) fn panels(&self) -> usize {
        self.units.div_ceil(self.isa.lanes())
    }

    fn pack(&mut self, parts: [Mat<f32>; 2]) {
        let panels = self.panels();
        let lanes = self.isa.lanes();
        if self.words == [0; 2] {
            return;
        }
        let mut data = core::mem::take(&mut self.data);
        data.resize(size([panels, self.words[0] + self.words[1], self.gates, lanes]));
        let mut rest = &mut data[..];
        for number in 0..blocks(self.gates, panels) {
            let block = block(self.gates, panels, number);
            let columns = block.panels * self.gates * lanes;
            for (w, words) in parts.iter().zip(self.words) {
                let (part, after) = rest.split_at_mut(words * columns);
                for column in 0..columns {
                    // Lanes run fastest, then gates, then panels.
                    let panel = block.first + column / (self.gates * lanes);
                    let (gate, unit) = (column / lanes % self.gates, panel * lanes + column % lanes);
                    if unit < self.units && w.cols > 0 {
                        let row = &w.data[(gate * self.units + unit) * w.row_stride..];
                        let row = |k: usize| row[k * w.col_stride];
                        pack_column(self.precision, w.cols, row, &mut part[column..], columns);
                    }
                }
                rest = after;
            }
        }
        self.data = data;
    }
}

/// Writes the words of one row of a weight matrix into every `stride`-th word of `to`, which must be zero.
fn pack_column(precision: Precision, depth: usize, w: impl Fn(usize) -> f32, to: &mut [u32], stride: usize) {
    match precision {
        Precision::F32 => {
            for k in 0..depth {
                to[k * stride] = w(k).to_bits();
            }
        }
        Precision::Bf16 => {
            for k in 0..depth {
                to[k / 2 * stride] |= u32::from(round_to_bf16(w(k))) << (16 * (k % 2));
            }
        }
        Precision::Int8 => {
            let (scale, round) = to_bytes((0..depth).map(&w));
            let mut sum = 0;
            for k in 0..depth {
                let byte = round(w(k));
                sum += i32::from(byte);
                to[(2 + k / 4) * stride] |= u32::from(byte as u8) << (8 * (k % 4));
            }
            to[0] = (-128 * sum) as u32;
            to[stride] = scale.to_bits();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_every_panel_once() {
        for gates in 1..=4 {
            for panels in 1..40 {
                let mut next = 0;
                for number in 0..blocks(gates, panels) {
                    let block = block(gates, panels, number);
                    assert_eq!(block.first, next, "{gates} gates, {panels} panels");
                    assert!(block.panels <= widest(gates, panels) && block.panels.is_power_of_two());
                    next += block.panels;
                }
                assert_eq!(next, panels, "{gates} gates");
            }
        }
    }
}
