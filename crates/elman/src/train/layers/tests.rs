use super::*;
use crate::cell::{CellKind, Source};

fn config(cell: CellKind) -> StackConfig {
    let source = Source::Dense(3);
    StackConfig { cell, source, hidden: 5, layers: 2, bidirectional: false, dropout: 0.0, locked: false }
}

fn weights(layers: &Layers, rng: &mut Rng) -> Vec<Vec<f32>> {
    let draw = |n: usize, rng: &mut Rng| (0..n).map(|_| rng.range(-0.5, 0.5) as f32).collect();
    layers.layout().tensors().iter().map(|tensor| draw(tensor.slot.range().len(), rng)).collect()
}

/// The loss `sum(y k) + sum(h k)` with fixed `k`, and its gradients by weights, `x` and `h0`.
fn run(
    layers: &Layers,
    weights: &[Vec<f32>],
    rows: Rows,
    x: &[f32],
    reset: Option<&[bool]>,
    h0: &[f32],
) -> (Vec<f32>, Vec<f32>, [Vec<f32>; 3]) {
    let count = rows.count();
    let cells = if layers.stack.config().cell.has_c() { h0.len() } else { 0 };
    let (mut y, mut h, mut c) = (vec![0.0; count * layers.stack.output_width()], vec![0.0; h0.len()], vec![0.0; cells]);
    let input = LayersInput { rows, x, reset, h0: Some(h0), c0: None, dropout_seed: None, is_kept: true };
    let output = LayersOutput { y: &mut y, h: &mut h, c: &mut c };
    let weights = &given(weights)[..];
    let mut pass = layers.forward(weights, &input, output, None).unwrap();
    let dy: Vec<f32> = (0..y.len()).map(|i| ((i * 7) % 11) as f32 / 11.0 - 0.4).collect();
    let dh: Vec<f32> = (0..h.len()).map(|i| ((i * 5) % 7) as f32 / 7.0 - 0.3).collect();
    let (mut dx, mut dh0) = (vec![0.0; x.len()], vec![0.0; h0.len()]);
    let mut dc0 = vec![0.0; cells];
    let of = OutputGradients { y: Some(&dy), h: Some(&dh), c: None };
    let by = InputGradients { x: Some(&mut dx), h0: &mut dh0, c0: &mut dc0 };
    let dw = layers.backward(&mut pass, weights, x, of, by, None).unwrap();
    let by = InputGradients { x: None, h0: &mut dh0.clone(), c0: &mut dc0 };
    assert!(layers.backward(&mut pass, weights, x, of, by, None).is_err(), "a pass is used up");
    (y, h, [dw, dx, dh0])
}

fn given(tensors: &[Vec<f32>]) -> Vec<Option<&[f32]>> {
    tensors.iter().map(|tensor| Some(&tensor[..])).collect()
}

fn near(a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len());
    let worst = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 2e-6, "{worst}");
}

#[test]
fn both_orders_of_the_axes_and_packed_rows_are_one_computation() {
    for cell in CellKind::ALL {
        let layers = Layers::new(config(cell)).unwrap();
        let rng = &mut Rng::new(3, "test");
        let tensors = weights(&layers, rng);
        let (steps, batch) = (4, 9);
        let x: Vec<f32> = (0..steps * batch * 3).map(|_| rng.range(-1.0, 1.0) as f32).collect();
        let h0: Vec<f32> = (0..2 * batch * 5).map(|_| rng.range(-1.0, 1.0) as f32).collect();
        let (y, h, [dw, ..]) = run(&layers, &tensors, Rows::TimeFirst { steps, batch }, &x, None, &h0);
        let sizes = [batch; 4];
        let packed = run(&layers, &tensors, Rows::Packed(&sizes), &x, None, &h0);
        assert!(packed.0 == y && packed.1 == h && packed.2[0] == dw, "{cell:?}");
        // Two of them alone, in the other order of axes.
        let two: Vec<f32> = [2, 7]
            .iter()
            .flat_map(|b| (0..steps).map(move |t| t * batch + b))
            .flat_map(|r| x[r * 3..r * 3 + 3].to_vec())
            .collect();
        let h0: Vec<f32> = [2, 7, 11, 16].iter().flat_map(|r| h0[r * 5..r * 5 + 5].to_vec()).collect();
        let (y2, ..) = run(&layers, &tensors, Rows::BatchFirst { steps, batch: 2 }, &two, None, &h0);
        let want: Vec<f32> = [2, 7]
            .iter()
            .flat_map(|b| (0..steps).map(move |t| t * batch + b))
            .flat_map(|r| y[r * 5..r * 5 + 5].to_vec())
            .collect();
        near(&y2, &want);
    }
}

#[test]
fn few_rows_straight_from_the_weights_are_the_computation_of_many() {
    for (cell, bidirectional) in CellKind::ALL.into_iter().flat_map(|cell| [(cell, false), (cell, true)]) {
        let mut layers = Layers::new(StackConfig { bidirectional, ..config(cell) }).unwrap();
        let rng = &mut Rng::new(11, "test");
        let mut tensors = weights(&layers, rng);
        let x: Vec<f32> = (0..12 * 3).map(|_| rng.range(-1.0, 1.0) as f32).collect();
        let h0: Vec<f32> = (0..if bidirectional { 60 } else { 30 }).map(|_| rng.range(-1.0, 1.0) as f32).collect();
        // Changed in place between passes: what was packed before counts no more.
        for _ in 0..2 {
            let mut found = Vec::new();
            for few in [0, usize::MAX] {
                layers.few = few;
                let sizes = [3, 3, 3, 2, 1];
                let packed = run(&layers, &tensors, Rows::Packed(&sizes), &x, None, &h0);
                let equal = run(&layers, &tensors, Rows::BatchFirst { steps: 4, batch: 3 }, &x, None, &h0);
                found.push([packed, equal]);
            }
            for ((y, h, by), (y_few, h_few, by_few)) in found[0].iter().zip(&found[1]) {
                near(y, y_few);
                near(h, h_few);
                by.iter().zip(by_few).for_each(|(by, by_few)| near(by, by_few));
            }
            tensors[0][3] += 0.25;
            tensors[3][2] -= 0.25;
        }
    }
}

#[test]
fn a_reset_is_a_call_of_its_own_from_the_zero_state() {
    for cell in [CellKind::Lstm, CellKind::Gru, CellKind::RnnTanh] {
        let layers = Layers::new(config(cell)).unwrap();
        let rng = &mut Rng::new(5, "test");
        let tensors = weights(&layers, rng);
        let x: Vec<f32> = (0..6 * 3).map(|_| rng.range(-1.0, 1.0) as f32).collect();
        let h0: Vec<f32> = (0..10).map(|_| rng.range(-1.0, 1.0) as f32).collect();
        let reset = [false, false, true, false, false, true];
        let rows = |steps| Rows::TimeFirst { steps, batch: 1 };
        let (y, h, _) = run(&layers, &tensors, rows(6), &x, Some(&reset), &h0);
        let (first, ..) = run(&layers, &tensors, rows(2), &x[..6], None, &h0);
        let (second, ..) = run(&layers, &tensors, rows(3), &x[6..15], None, &[0.0; 10]);
        let (third, last, _) = run(&layers, &tensors, rows(1), &x[15..], None, &[0.0; 10]);
        near(&y, &[first, second, third].concat());
        near(&h, &last);
        // At its first step: the given state counts for nothing.
        let reset = [true, false, false, false, false, false];
        let (y, _, [_, _, dh0]) = run(&layers, &tensors, rows(6), &x, Some(&reset), &h0);
        near(&y, &run(&layers, &tensors, rows(6), &x, None, &[0.0; 10]).0);
        assert_eq!(dh0, [0.0; 10]);
    }
}

#[test]
fn threads_change_no_bit_and_wrong_sizes_are_refused() {
    let mut layers = Layers::new(config(CellKind::Gru)).unwrap();
    let rng = &mut Rng::new(7, "test");
    let tensors = weights(&layers, rng);
    let (mut y, mut h) = (vec![0.0; 5 * 40 * 5], vec![0.0; 2 * 40 * 5]);
    let x: Vec<f32> = (0..5 * 40 * 3).map(|_| rng.range(-1.0, 1.0) as f32).collect();
    let rows = Rows::TimeFirst { steps: 5, batch: 40 };
    let input = LayersInput { rows, x: &x, reset: None, h0: None, c0: None, dropout_seed: None, is_kept: true };
    let weights = &given(&tensors)[..];
    for wrong in [&[None][..], &[&[None], &weights[1..]].concat(), &[&weights[1..2], &weights[1..]].concat()] {
        assert!(layers.forward(wrong, &input, LayersOutput { y: &mut y, h: &mut h, c: &mut [] }, None).is_err());
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    for few in [0, usize::MAX] {
        layers.few = few;
        let mut pass = |is_kept, pool| {
            let input = LayersInput { is_kept, ..input };
            let pass = layers.forward(weights, &input, LayersOutput { y: &mut y, h: &mut h, c: &mut [] }, pool);
            (pass.unwrap(), y.clone())
        };
        let found = [None, Some(&pool)].map(|pool| {
            let (_, read) = pass(false, pool);
            let (mut kept, y) = pass(true, pool);
            assert!(read == y);
            let mut dh0 = vec![0.0; 400];
            let of = OutputGradients { y: Some(&y), h: None, c: None };
            let by = InputGradients { x: None, h0: &mut dh0, c0: &mut [] };
            let dw = layers.backward(&mut kept, weights, &x, of, by, pool).unwrap();
            (y, dw, dh0)
        });
        assert!(found[0] == found[1]);
    }
    let short = LayersInput { x: &x[1..], ..input };
    assert!(layers.forward(weights, &short, LayersOutput { y: &mut y, h: &mut h, c: &mut [] }, None).is_err());
    let unsorted = LayersInput { rows: Rows::Packed(&[1, 2]), ..input };
    assert!(layers.forward(weights, &unsorted, LayersOutput { y: &mut y, h: &mut h, c: &mut [] }, None).is_err());
}
