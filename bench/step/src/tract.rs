//! tract, its state kept between steps.

use std::sync::Arc;

use tract_onnx::prelude::*;

use crate::{Case, Engine, Outcome};

pub struct Tract {
    model: Arc<TypedRunnableModel>,
    x: Vec<TValue>,
    /// `h`, and `c` of an LSTM: what a step returns is what the next one takes.
    states: TVec<TValue>,
}

impl Tract {
    pub fn new(case: &Case, path: &str) -> Outcome<Self> {
        let model = tract_onnx::onnx().model_for_path(path)?.into_optimized()?.into_runnable()?;
        let dims = [1, 1, case.hidden];
        let x: TractResult<Vec<TValue>> =
            case.x.iter().map(|x| Ok(Tensor::from_shape(&dims, x)?.into_tvalue())).collect();
        let zero = || Ok(Tensor::zero::<f32>(&dims)?.into_tvalue());
        let states: TractResult<TVec<TValue>> = (0..1 + usize::from(case.has_c())).map(|_| zero()).collect();
        Ok(Tract { model, x: x?, states: states? })
    }
}

impl Engine for Tract {
    fn step(&mut self, t: usize) -> Outcome<()> {
        let mut inputs = tvec!(self.x[t].clone());
        inputs.extend(self.states.drain(..));
        self.states = self.model.run(inputs)?;
        Ok(())
    }

    fn h(&self) -> Outcome<Vec<f32>> {
        Ok(self.states[0].to_plain_array_view::<f32>()?.iter().copied().collect())
    }
}
