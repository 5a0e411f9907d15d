//! `elman-step`.

use std::hint::black_box;

use elman_step::{Gru, Layers, Lstm, Nonlinearity, Precision, Reset, Rnn, Source, Stack, Weights};

use crate::{Case, Engine, Outcome};

pub struct Ours {
    cell: Stack,
    x: Vec<Vec<f32>>,
    hidden: usize,
}

impl Ours {
    pub fn new(case: &Case, precision: Precision) -> Outcome<Self> {
        let (source, hidden) = (Source::Dense(case.hidden), case.hidden);
        let weights = Weights { w_ih: &case.w_ih, w_hh: &case.w_hh, b_ih: &case.b_ih, b_hh: &case.b_hh };
        let cell: Layers = match case.cell.as_str() {
            "rnn" => Rnn::new(source, hidden, Nonlinearity::Tanh, weights, precision)?.into(),
            "gru" => Gru::new(source, hidden, Reset::After, weights, precision)?.into(),
            _ => Lstm::new(source, hidden, None, weights, precision)?.into(),
        };
        Ok(Ours { cell: Stack::new([cell])?, x: case.x.clone(), hidden })
    }
}

impl Engine for Ours {
    fn step(&mut self, t: usize) -> Outcome<()> {
        black_box(self.cell.step(black_box(&self.x[t])));
        Ok(())
    }

    fn h(&self) -> Outcome<Vec<f32>> {
        Ok(self.cell.state()[..self.hidden].to_vec())
    }
}
