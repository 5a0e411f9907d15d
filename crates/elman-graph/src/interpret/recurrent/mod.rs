//! Recurrent layers over whole sequences: the input product of many steps at once, then step after step.

mod fused;
mod general;
mod job;

use std::sync::Arc;

use self::job::{Direct, Job, Mask, Output, Sizes, States};
use super::broadcast::size;
use super::elementwise::Real;
use super::layout::{integers, transpose};
use crate::error::{Error, Result};
use crate::graph::{Cell, Direction, Recurrent};
use crate::tensor::{Dtype, Tensor, Values};

/// Weights of a layer as the kernels want them, kept between runs; one per direction.
pub(super) type Kept = Vec<fused::Layer>;

/// The inputs of a layer, checked.
struct Inputs<'a> {
    x: Tensor,
    w: &'a Tensor,
    r: &'a Tensor,
    b: Option<&'a Tensor>,
    lens: Option<&'a Tensor>,
    h: Option<Tensor>,
    c: Option<Tensor>,
    peepholes: Option<&'a Tensor>,
    projection: Option<&'a Tensor>,
    mask: Option<&'a Tensor>,
    sizes: Sizes,
}

const NAMES: [&str; 10] = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P", "projection", "mask"];

impl<'a> Inputs<'a> {
    fn new(layer: &Recurrent, inputs: &'a [Option<Tensor>]) -> Result<Self> {
        let (d, h, g) = (layer.direction.count(), layer.hidden, layer.cell.gates());
        let get = |i: usize| inputs.get(i).and_then(Option::as_ref);
        let need = |i: usize| get(i).ok_or_else(|| Error::malformed(NAMES[i], "it is missing"));
        let x = need(0)?;
        if x.dims().len() != 3 {
            return Err(Error::Dimensions {
                part: "X".into(),
                got: format!("{:?}", x.dims()),
                want: "[steps, sequences, width]".into(),
            });
        }
        // Time first inside.
        let swapped = |t: &Tensor| if layer.batch_first { transpose(t, Some(&[1, 0, 2])) } else { Ok(t.clone()) };
        let x = swapped(x)?;
        let [steps, batch, width] = [x.dims()[0], x.dims()[1], x.dims()[2]];
        let (w, r, projection) = (need(1)?, need(2)?, get(8));
        let o = match projection {
            Some(p) => p.dims().get(1).copied().unwrap_or(0),
            None => h,
        };
        if h == 0 || o == 0 {
            return Err(Error::malformed("hidden_size", "it is 0"));
        }
        let gh = g.checked_mul(h).filter(|n| *n < usize::MAX / 4);
        let gh = gh.ok_or_else(|| Error::malformed("hidden_size", format!("it is {h}")))?;
        let want: [&[usize]; 9] = [
            &[d, gh, width],
            &[d, gh, o],
            &[d, 2 * gh],
            &[batch],
            &[d, batch, o],
            &[d, batch, h],
            &[d, 3 * h],
            &[d, o, h],
            &[batch, steps],
        ];
        let states = [5, 6].map(|i| get(i).map(swapped).transpose());
        let [h0, c0] = states;
        let (h0, c0) = (h0?, c0?);
        for i in 1..NAMES.len() {
            let given = match i {
                5 => h0.as_ref(),
                6 => c0.as_ref(),
                _ => get(i),
            };
            let Some(t) = given else { continue };
            let want = want[i - 1];
            let shared = (i == 5 || i == 6) && t.dims() == [want[0], 1, want[2]];
            if t.dims() != want && !shared {
                return Err(Error::dimensions(NAMES[i], t.dims(), want));
            }
            let fits = match i {
                4 => t.dtype().is_int(),
                9 => t.dtype() == Dtype::Bool,
                _ => t.dtype() == x.dtype(),
            };
            if !fits {
                return Err(Error::malformed(NAMES[i], format!("it is {} beside {}", t.dtype(), x.dtype())));
            }
        }
        if let Some(lens) = get(4) {
            let lens = integers("sequence_lens", lens)?;
            if !lens.iter().all(|n| usize::try_from(*n).is_ok_and(|n| n <= steps)) {
                return Err(Error::malformed("sequence_lens", format!("{lens:?} of {steps} steps")));
            }
        }
        let lstm = matches!(layer.cell, Cell::Lstm { .. });
        if !lstm && [6, 7, 8].iter().any(|i| get(*i).is_some()) {
            return Err(Error::malformed(
                "a recurrent layer",
                "only an LSTM has a cell state, peepholes and a projection",
            ));
        }
        if layer.activations.len() != d * layer.cell.activations() {
            return Err(Error::malformed("activations", format!("{} of them", layer.activations.len())));
        }
        let sizes = Sizes { steps, batch, inputs: width, hidden: h, outputs: o };
        size(&[steps, d, batch, o])?;
        Ok(Inputs {
            x,
            w,
            r,
            b: get(3),
            lens: get(4),
            h: h0,
            c: c0,
            peepholes: get(7),
            projection,
            mask: get(9),
            sizes,
        })
    }
}

/// A recurrent layer; `kept` where its weights are constants.
pub(super) fn run(
    layer: &Recurrent,
    inputs: &[Option<Tensor>],
    kept: Option<&mut Option<Kept>>,
) -> Result<[Tensor; 3]> {
    let inputs = Inputs::new(layer, inputs)?;
    match inputs.x.dtype() {
        Dtype::F64 => directions(layer, &inputs, kept, Tensor::as_f64, Values::F64, |job, _| general::run(job)),
        dtype if dtype.is_float() => directions(layer, &inputs, kept, Tensor::as_f32, Values::F32, |job, kept| {
            if fused::fits(job.layer) && job.direct.projection.is_empty() {
                fused::run(job, kept);
            } else {
                general::run(job);
            }
        }),
        dtype => Err(Error::unsupported("a recurrent layer", format!("elements of {dtype}"))),
    }
}

fn directions<F: Real>(
    layer: &Recurrent,
    inputs: &Inputs,
    mut kept: Option<&mut Option<Kept>>,
    of: fn(&Tensor) -> Option<&[F]>,
    to: fn(Arc<Vec<F>>) -> Values,
    run: impl Fn(Job<F>, Option<&mut Option<Kept>>),
) -> Result<[Tensor; 3]> {
    let (sizes, d) = (inputs.sizes, layer.direction.count());
    let Sizes { steps, batch, hidden, outputs, .. } = sizes;
    let part =
        |t: Option<&Tensor>, i: usize| t.and_then(of).map_or(vec![], |v| v[v.len() / d * i..][..v.len() / d].to_vec());
    // Types were compared; so each of these is there.
    let (Some(x), Some(w), Some(r)) = (of(&inputs.x), of(inputs.w), of(inputs.r)) else {
        return Err(Error::malformed("X", "its elements differ in type from the weights"));
    };
    let mask = Mask {
        lens: inputs.lens.and_then(Tensor::as_i64),
        mask: inputs.mask.and_then(Tensor::as_bool),
        steps,
        masked: layer.masked,
    };
    let per = layer.cell.activations();
    let mut y = vec![F::ZERO; size(&[steps, d, batch, outputs])?];
    let (mut h_n, mut c_n) = (Vec::new(), Vec::new());
    for i in 0..d {
        let shared = |t: Option<&Tensor>, width: usize| {
            let v = part(t, i);
            match v.len() {
                0 => vec![F::ZERO; batch * width],
                n if n == batch * width => v,
                _ => v.repeat(batch),
            }
        };
        let lstm = matches!(layer.cell, Cell::Lstm { .. });
        let c = if lstm { shared(inputs.c.as_ref(), hidden) } else { vec![] };
        let mut states = States { h: shared(inputs.h.as_ref(), outputs), c };
        let (b, p, q) = (part(inputs.b, i), part(inputs.peepholes, i), part(inputs.projection, i));
        let direct = Direct {
            w: &w[w.len() / d * i..][..w.len() / d],
            r: &r[r.len() / d * i..][..r.len() / d],
            b: &b,
            peepholes: &p,
            projection: &q,
            activations: &layer.activations[i * per..(i + 1) * per],
        };
        let reverse = i == 1 || layer.direction == Direction::Reverse;
        let last = if mask.is_full() { vec![] } else { vec![F::ZERO; batch * outputs] };
        let output = Output { y: &mut y, directions: d, direction: i, last };
        let kept = kept.as_deref_mut();
        run(Job { layer, sizes, x, direct, states: &mut states, mask: &mask, reverse, output, direction: i }, kept);
        h_n.extend(states.h);
        c_n.extend(states.c);
    }
    let dtype = inputs.x.dtype();
    let y = Tensor::new(dtype, vec![steps, d, batch, outputs], to(Arc::new(y)))?;
    let h = Tensor::new(dtype, vec![d, batch, outputs], to(Arc::new(h_n)))?;
    let c_dims = if c_n.is_empty() { vec![d, 0, hidden] } else { vec![d, batch, hidden] };
    let c = Tensor::new(dtype, c_dims, to(Arc::new(c_n)))?;
    if !layer.batch_first {
        return Ok([y, h, c]);
    }
    let state = Some(&[1, 0, 2][..]);
    Ok([transpose(&y, Some(&[2, 0, 1, 3]))?, transpose(&h, state)?, transpose(&c, state)?])
}
