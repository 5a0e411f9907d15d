//! candle's LSTM, AdamW without decay, and the global norm clipped by hand: candle has no such function.

use std::error::Error;

use candle_core::{DType, Device, Tensor};
use candle_nn::rnn::{LSTMConfig, LSTMState};
use candle_nn::{AdamW, Module, Optimizer, ParamsAdamW, RNN, VarBuilder, VarMap};
use train_peers::{CLIP_NORM, LR, Problem, serve};

fn main() -> Result<(), Box<dyn Error>> {
    let problem = Problem::from_args()?;
    let Problem { layers, hidden, vocab, batch, steps, .. } = problem;
    let device = Device::Cpu;
    let mut weights = VarMap::new();
    let builder = VarBuilder::from_varmap(&weights, DType::F32, &device);
    let mut rnn = Vec::new();
    for layer in 0..layers {
        let inputs = if layer == 0 { vocab } else { hidden };
        let config = LSTMConfig { layer_idx: layer, ..Default::default() };
        rnn.push(candle_nn::lstm(inputs, hidden, config, builder.pp("rnn"))?);
    }
    let output = candle_nn::linear(hidden, vocab, builder.pp("output"))?;
    let names: Vec<String> = weights.data().lock().map_err(|_| "the weights")?.keys().cloned().collect();
    for name in names {
        let (dims, values) = problem.tensor(&name)?;
        weights.set_one(name, Tensor::from_vec(values, dims, &device)?)?;
    }
    let vars = weights.all_vars();
    let config = ParamsAdamW { lr: LR, weight_decay: 0.0, ..Default::default() };
    let mut adam = AdamW::new(vars.clone(), config)?;

    let x = Tensor::from_vec(problem.one_hot(), (batch, steps, vocab), &device)?;
    let targets = Tensor::from_vec(problem.targets(), batch * steps, &device)?;
    let mut states: Vec<LSTMState> = rnn.iter().map(|lstm| lstm.zero_state(batch)).collect::<Result<_, _>>()?;
    serve(|| {
        let mut y = x.clone();
        for (lstm, state) in rnn.iter().zip(&mut states) {
            let all = lstm.seq_init(&y, state)?;
            y = lstm.states_to_tensor(&all)?;
            let last = all.last().ok_or("no steps")?;
            *state = LSTMState::new(last.h.detach(), last.c.detach());
        }
        let logits = output.forward(&y.reshape((batch * steps, hidden))?)?;
        let loss = candle_nn::loss::cross_entropy(&logits, &targets)?;
        let mut grads = loss.backward()?;
        let mut square = 0.0;
        for grad in vars.iter().filter_map(|var| grads.get(var)) {
            square += grad.sqr()?.sum_all()?.to_scalar::<f32>()?;
        }
        let norm = square.sqrt();
        if norm > CLIP_NORM {
            for var in &vars {
                if let Some(grad) = grads.get(var) {
                    let grad = (grad * f64::from(CLIP_NORM / norm))?;
                    grads.insert(var, grad);
                }
            }
        }
        adam.step(&grads)?;
        Ok(loss.to_scalar::<f32>()?.into())
    })
}
