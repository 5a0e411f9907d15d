//! ONNX Runtime through its C interface: one thread, inputs and outputs bound to fixed memory.

use ort::memory::Allocator;
use ort::session::{IoBinding, Session};
use ort::value::Tensor;

use crate::{Case, Engine, Outcome};

pub struct OnnxRuntime {
    // Fields are dropped in this order.
    binding: IoBinding,
    session: Session,
    x: Tensor<f32>,
    /// `h`, and `c` of an LSTM, as inputs; each step's outputs are copied here, some kilobytes at most.
    states: Vec<Tensor<f32>>,
    inputs: Vec<Vec<f32>>,
}

const NAMES: [[&str; 2]; 2] = [["h0", "h1"], ["c0", "c1"]];

impl OnnxRuntime {
    pub fn new(case: &Case, path: &str, library: &str) -> Outcome<Self> {
        let environment = ort::init_from(library)?.build()?;
        let builder = Session::builder(&environment)?;
        let session = builder.with_intra_threads(1)?.with_inter_threads(1)?.commit_from_file(path)?;
        let mut binding = session.create_binding()?;
        let zeros = || Tensor::<f32>::from_array(([1usize, 1, case.hidden], vec![0.0; case.hidden]));
        let x = zeros()?;
        binding.bind_input("x", &x)?;
        let mut states = Vec::new();
        for [before, after] in &NAMES[..1 + usize::from(case.has_c())] {
            let state = zeros()?;
            binding.bind_input(*before, &state)?;
            states.push(state);
            let output = Tensor::<f32>::new(&Allocator::default(), [1usize, 1, case.hidden])?;
            binding.bind_output(*after, output)?;
        }
        Ok(OnnxRuntime { binding, session, x, states, inputs: case.x.clone() })
    }
}

impl Engine for OnnxRuntime {
    fn step(&mut self, t: usize) -> Outcome<()> {
        self.x.extract_tensor_mut().1.copy_from_slice(&self.inputs[t]);
        let outputs = self.session.run_binding(&self.binding)?;
        for (state, [_, after]) in self.states.iter_mut().zip(NAMES) {
            let output = outputs[after].try_extract_tensor::<f32>()?.1;
            state.extract_tensor_mut().1.copy_from_slice(output);
        }
        Ok(())
    }

    fn h(&self) -> Outcome<Vec<f32>> {
        Ok(self.states[0].extract_tensor().1.to_vec())
    }
}
