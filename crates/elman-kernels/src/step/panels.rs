//! The weights of a layer in the order a step reads them.

use crate::buffer::Buffer;
use crate::isa::Isa;
use crate::mat::Mat;

/// Sums a block of panels keeps in flight.
pub(super) const SUMS: usize = 8;

/// How weights are held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// As they were trained.
    #[default]
    F32,
}

/// `W_ih` `[gates * units, I]` and `W_hh` `[gates * units, H]` of a layer, packed for steps of few rows.
#[derive(Clone)]
pub struct Panels {
    pub(super) isa: Isa,
    pub(super) gates: usize,
    pub(super) units: usize,
    /// `I` (0 where a table takes the place of the input product) and `H`.
    pub(super) depths: [usize; 2],
    pub(super) data: Buffer<f32>,
}

/// Some panels side by side, which a step reads as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// The first panel.
    pub(super) first: usize,
    /// How many: [`widest`] or a smaller power of two.
    pub(super) panels: usize,
}

/// Most panels in a block, so that it has [`SUMS`] sums, or six with three gates.
pub(super) const fn widest(gates: usize) -> usize {
    if gates == 3 { 2 } else { SUMS / gates }
}

/// Blocks of `panels` panels: the widest first, then each power of two that is left.
pub(super) fn blocks(gates: usize, panels: usize) -> usize {
    panels / widest(gates) + (panels % widest(gates)).count_ones() as usize
}

/// The block with this number.
pub(super) fn block(gates: usize, panels: usize, number: usize) -> Block {
    let widest = widest(gates);
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
    /// Packs `w_ih` (for a layer fed from a table: without columns) and `w_hh`, gate after gate in their rows.
    ///
    /// # Panics
    /// If the rows differ, are not a multiple of `gates`, or `gates` is not from 1 to 4.
    pub fn new(precision: Precision, gates: usize, w_ih: Mat<f32>, w_hh: Mat<f32>) -> Self {
        Self::new_on(Isa::best(), precision, gates, w_ih, w_hh)
    }

    pub(crate) fn new_on(isa: Isa, precision: Precision, gates: usize, w_ih: Mat<f32>, w_hh: Mat<f32>) -> Self {
        assert!((1..=4).contains(&gates), "panels exist for 1 to 4 gates");
        assert!(w_ih.rows == w_hh.rows && w_hh.rows.is_multiple_of(gates), "W_ih and W_hh differ in rows");
        let units = w_hh.rows / gates;
        let mut panels = Panels { isa, gates, units, depths: [w_ih.cols, w_hh.cols], data: Buffer::new() };
        match precision {
            Precision::F32 => panels.pack([w_ih, w_hh]),
        }
        panels
    }

    /// Units of the layer.
    pub fn units(&self) -> usize {
        self.units
    }

    /// `I`, the width of dense input; 0 where a table takes its place.
    pub fn inputs(&self) -> usize {
        self.depths[0]
    }

    /// Panels of one register of units.
    pub(super) fn panels(&self) -> usize {
        self.units.div_ceil(self.isa.lanes())
    }

    fn pack(&mut self, parts: [Mat<f32>; 2]) {
        let lanes = self.isa.lanes();
        let panels = self.panels();
        self.data.resize(panels * (self.depths[0] + self.depths[1]) * self.gates * lanes);
        let mut at = 0;
        for number in 0..blocks(self.gates, panels) {
            let block = block(self.gates, panels, number);
            for w in parts {
                for k in 0..w.cols {
                    for panel in block.first..block.first + block.panels {
                        for gate in 0..self.gates {
                            let to = &mut self.data[at..at + lanes];
                            at += lanes;
                            for (lane, to) in to.iter_mut().enumerate() {
                                let unit = panel * lanes + lane;
                                if unit < self.units {
                                    let row = gate * self.units + unit;
                                    *to = w.data[row * w.row_stride + k * w.col_stride];
                                }
                            }
                        }
                    }
                }
            }
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
                    assert!(block.panels <= widest(gates) && block.panels.is_power_of_two());
                    next += block.panels;
                }
                assert_eq!(next, panels, "{gates} gates");
            }
        }
    }
}
