//! burn's LSTM on its `flex` backend, Adam, and the clipping it offers: of each parameter's norm by itself.

use std::error::Error;

use burn::grad_clipping::GradientClippingConfig;
use burn::module::{Module, Param};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{GateController, Linear, LinearConfig, Lstm, LstmConfig, LstmState};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData};
use train_peers::{CLIP_NORM, LR, Problem, serve};

#[derive(Module, Debug)]
struct Model {
    rnn: Vec<Lstm>,
    output: Linear,
}

/// A linear layer from rows `first..first + outputs` of a matrix `[.., inputs]` and of a bias.
fn set(
    linear: &mut Linear,
    weight: &[f32],
    bias: &[f32],
    inputs: usize,
    first: usize,
    outputs: usize,
    device: &Device,
) {
    let rows = weight[first * inputs..(first + outputs) * inputs].to_vec();
    let rows: Tensor<2> = Tensor::from_data(TensorData::new(rows, [outputs, inputs]), device);
    linear.weight = Param::from_tensor(rows.transpose());
    let bias = bias[first..first + outputs].to_vec();
    linear.bias = Some(Param::from_tensor(Tensor::from_data(TensorData::new(bias, [outputs]), device)));
}

fn main() -> Result<(), Box<dyn Error>> {
    let problem = Problem::from_args()?;
    let Problem { layers, hidden, vocab, batch, steps, .. } = problem;
    let device = Device::flex().autodiff();
    let mut rnn = Vec::new();
    for layer in 0..layers {
        let inputs = if layer == 0 { vocab } else { hidden };
        let mut lstm = LstmConfig::new(inputs, hidden, true).init(&device);
        let tensor = |name: &str| problem.tensor(&format!("rnn.{name}_l{layer}")).map(|(_, values)| values);
        let (w_ih, w_hh) = (tensor("weight_ih")?, tensor("weight_hh")?);
        let (b_ih, b_hh) = (tensor("bias_ih")?, tensor("bias_hh")?);
        let forget = lstm.forget_gate.as_mut().ok_or("no forget gate")?;
        // In the file gates stand in the order i, f, g, o.
        let gates: [&mut GateController; 4] =
            [&mut lstm.input_gate, forget, &mut lstm.cell_gate, &mut lstm.output_gate];
        for (i, gate) in gates.into_iter().enumerate() {
            set(&mut gate.input_transform, &w_ih, &b_ih, inputs, i * hidden, hidden, &device);
            set(&mut gate.hidden_transform, &w_hh, &b_hh, hidden, i * hidden, hidden, &device);
        }
        rnn.push(lstm);
    }
    let mut output = LinearConfig::new(hidden, vocab).init(&device);
    let (weight, bias) = (problem.tensor("output.weight")?.1, problem.tensor("output.bias")?.1);
    set(&mut output, &weight, &bias, hidden, 0, vocab, &device);
    let mut model = Some(Model { rnn, output });
    let clipping = GradientClippingConfig::Norm(CLIP_NORM);
    let mut adam = AdamConfig::new().with_epsilon(1e-8).with_grad_clipping(Some(clipping)).init();

    let x: Tensor<3> = Tensor::from_data(TensorData::new(problem.one_hot(), [batch, steps, vocab]), &device);
    let targets: Vec<i64> = problem.targets().into_iter().map(i64::from).collect();
    let targets: Tensor<1, Int> = Tensor::from_data(TensorData::new(targets, [batch * steps]), &device);
    let cross_entropy = CrossEntropyLossConfig::new().init(&device);
    let mut states: Vec<Option<LstmState<2>>> = (0..layers).map(|_| None).collect();
    serve(|| {
        let before = model.take().ok_or("a step failed before")?;
        let mut y = x.clone();
        for (lstm, state) in before.rnn.iter().zip(&mut states) {
            let (out, last) = lstm.forward(y, state.take());
            y = out;
            *state = Some(LstmState::new(last.cell.detach(), last.hidden.detach()));
        }
        let logits = before.output.forward(y.reshape([batch * steps, hidden]));
        let loss = cross_entropy.forward(logits, targets.clone());
        let loss_nats = loss.clone().into_scalar::<f32>();
        let grads = GradientsParams::from_grads(loss.backward(), &before);
        model = Some(adam.step(LR, before, grads));
        Ok(loss_nats.into())
    })
}
