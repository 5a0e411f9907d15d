//! Matrix products: weights packed once and kept, everything else packed as it comes.

use std::sync::Arc;

use elman_kernels::step::{self, Panels, Precision};
use elman_kernels::{Mat, MatMut, Packed, Scalar, Scratch, Start, gemm, gemm_unpacked};

use super::broadcast::{expand, joint, rows, size, stretched};
use super::elementwise::binary;
use super::layout::transpose;
use super::reduce::reduce;
use crate::error::{Error, Result};
use crate::graph::{Binary, Reduce};
use crate::tensor::{Tensor, Values};

/// Up to so many rows a product is as fast as its weights are read, and the kernels of steps read them in order.
const FEW: usize = 4;
/// Products are summed in pieces of so many, and the pieces then: rounding errors grow with the longest chain of additions.
const PIECE: usize = 64;

/// The right operand `[K, N]` of a product, constant over runs: in two orders, each made when first wanted.
pub(super) struct Weights {
    /// Row-major `[N, K]`.
    by_output: Vec<f32>,
    depth: usize,
    outputs: usize,
    zeros: Vec<f32>,
    /// Pieces of the depth, one after another.
    packed: Vec<Packed<f32>>,
    /// The product of a piece.
    partial: Vec<f32>,
    panels: Option<Panels>,
    scratch: step::Scratch,
}

impl Weights {
    /// From rows of outputs, `[N, K]`.
    pub(super) fn by_output(w: &[f32], outputs: usize, depth: usize) -> Self {
        Weights {
            by_output: w[..outputs * depth].to_vec(),
            depth,
            outputs,
            zeros: vec![0.0; outputs],
            packed: Vec::new(),
            partial: Vec::new(),
            panels: None,
            scratch: step::Scratch::default(),
        }
    }

    /// From rows of inputs, `[K, N]`.
    pub(super) fn by_input(w: &[f32], depth: usize, outputs: usize) -> Self {
        let by_output = (0..outputs).flat_map(|n| (0..depth).map(move |k| w[k * outputs + n])).collect::<Vec<_>>();
        Weights::by_output(&by_output, outputs, depth)
    }

    /// `y [M, N] = bias + x [M, K] W`, the rows of `x` `stride` apart.
    pub(super) fn product(&mut self, x: &[f32], m: usize, stride: usize, bias: Option<&[f32]>, y: &mut [f32]) {
        if m == 0 || self.outputs == 0 {
            return;
        }
        let weights = Mat::new(&self.by_output, self.outputs, self.depth);
        if m <= FEW && stride == self.depth {
            let none = Mat::new(&[], self.outputs, 0);
            let panels = self.panels.get_or_insert_with(|| Panels::new(Precision::F32, 1, none, weights));
            step::linear(panels, bias.unwrap_or(&self.zeros), &x[..m * stride], y, &mut self.scratch, false);
            return;
        }
        if self.packed.is_empty() {
            let pieces = (0..self.depth.max(1)).step_by(PIECE).map(|from| {
                let columns = PIECE.min(self.depth - from);
                let mut packed = Packed::new();
                let piece = Mat::strided(&self.by_output[from..], self.outputs, columns, self.depth);
                packed.pack(piece.t());
                packed
            });
            self.packed = pieces.collect();
        }
        let mut start = bias.map_or(Start::Zero, Start::Bias);
        for (piece, packed) in self.packed.iter().enumerate() {
            let from = piece * PIECE;
            let x = Mat::strided(&x[from..], m, PIECE.min(self.depth - from), stride);
            if piece == 0 {
                gemm(x, packed, MatMut::new(y, m, self.outputs), start);
                start = Start::Zero;
            } else {
                self.partial.resize(m * self.outputs, 0.0);
                gemm(x, packed, MatMut::new(&mut self.partial, m, self.outputs), start);
                y.iter_mut().zip(&self.partial).for_each(|(y, part)| *y += part);
            }
        }
    }
}

/// `a [M, K] b [K, N]` of operands used once.
pub(super) fn once<F: Scalar>(a: Mat<F>, b: Mat<F>, y: &mut [F], scratch: &mut Scratch<F>) {
    let (m, n) = (a.rows(), b.cols());
    gemm_unpacked(a, b, MatMut::new(y, m, n), Start::Zero, scratch);
}

fn refuse(what: &str, x: &Tensor) -> Error {
    Error::unsupported(what, format!("elements of {}", x.dtype()))
}

/// As `numpy.matmul`; `kept` where `b` is a constant.
pub(super) fn matmul(a: &Tensor, b: &Tensor, kept: Option<&mut Option<Weights>>) -> Result<Tensor> {
    let mismatch = || Error::Dimensions {
        part: "MatMul".into(),
        got: format!("{:?} times {:?}", a.dims(), b.dims()),
        want: "the last size of one equal to the last but one of the other".into(),
    };
    if a.dtype() != b.dtype() {
        return Err(Error::malformed("MatMul", format!("it is given {} and {}", a.dtype(), b.dtype())));
    }
    // Vectors are matrices of one row or column, which goes away afterwards.
    let (a_vector, b_vector) = (a.dims().len() == 1, b.dims().len() == 1);
    if a.dims().is_empty() || b.dims().is_empty() {
        return Err(mismatch());
    }
    let a_dims = if a_vector { vec![1, a.dims()[0]] } else { a.dims().to_vec() };
    let b_dims = if b_vector { vec![b.dims()[0], 1] } else { b.dims().to_vec() };
    let (a_batch, [m, k]) = last_two(&a_dims);
    let (b_batch, [k2, n]) = last_two(&b_dims);
    if k != k2 {
        return Err(mismatch());
    }
    let batch = joint(a_batch, b_batch)?;
    let mut dims = batch.clone();
    if !a_vector {
        dims.push(m);
    }
    if !b_vector {
        dims.push(n);
    }
    let total = size(&dims)?;
    if let (Some(kept), Values::F32(x), Values::F32(w), true) = (kept, a.values(), b.values(), b_batch.is_empty()) {
        let weights = kept.get_or_insert_with(|| Weights::by_input(w, k, n));
        let mut y = vec![0.0; total];
        weights.product(x, total / n.max(1), k, None, &mut y);
        return Tensor::new(a.dtype(), dims, Values::F32(Arc::new(y)));
    }
    fn all<F: Scalar>(
        (a, a_batch): (&[F], &[usize]),
        (b, b_batch): (&[F], &[usize]),
        batch: &[usize],
        [m, k, n]: [usize; 3],
    ) -> Arc<Vec<F>> {
        let mut y = vec![F::ZERO; batch.iter().product::<usize>() * m * n];
        if y.is_empty() {
            return Arc::new(y);
        }
        let mut scratch = Scratch::default();
        let (sa, sb) = (stretched(a_batch, batch), stretched(b_batch, batch));
        let (width, ia, ib) =
            (batch.last().copied().unwrap_or(1), sa.last().copied().unwrap_or(0), sb.last().copied().unwrap_or(0));
        let mut parts = y.chunks_mut(m * n);
        rows(batch, [&sa, &sb], |[at_a, at_b]| {
            for (i, y) in parts.by_ref().take(width).enumerate() {
                let a = Mat::new(&a[(at_a + i * ia) * m * k..], m, k);
                let b = Mat::new(&b[(at_b + i * ib) * k * n..], k, n);
                once(a, b, y, &mut scratch);
            }
        });
        Arc::new(y)
    }
    let values = match (a.values(), b.values()) {
        (Values::F32(a), Values::F32(b)) => Values::F32(all((a, a_batch), (b, b_batch), &batch, [m, k, n])),
        (Values::F64(a), Values::F64(b)) => Values::F64(all((a, a_batch), (b, b_batch), &batch, [m, k, n])),
        _ => return Err(refuse("MatMul", a)),
    };
    Tensor::new(a.dtype(), dims, values)
}

fn last_two(dims: &[usize]) -> (&[usize], [usize; 2]) {
    let (batch, last) = dims.split_at(dims.len() - 2);
    (batch, [last[0], last[1]])
}

/// `alpha A B + beta C`; `kept` where `b` is a constant.
pub(super) fn gemm_op(
    [a, b]: [&Tensor; 2],
    c: Option<&Tensor>,
    (alpha, beta): (f32, f32),
    (trans_a, trans_b): (bool, bool),
    kept: Option<&mut Option<Weights>>,
) -> Result<Tensor> {
    if a.dims().len() != 2 || b.dims().len() != 2 {
        return Err(Error::malformed("Gemm", format!("matrices are needed, not {:?} and {:?}", a.dims(), b.dims())));
    }
    let a = if trans_a { transpose(a, None)? } else { a.clone() };
    let (m, k) = (a.dims()[0], a.dims()[1]);
    let (k2, n) = if trans_b { (b.dims()[1], b.dims()[0]) } else { (b.dims()[0], b.dims()[1]) };
    if k != k2 {
        return Err(Error::Dimensions {
            part: "Gemm".into(),
            got: format!("[{m}, {k}] times [{k2}, {n}]"),
            want: "equal inner sizes".into(),
        });
    }
    let plain = alpha == 1.0 && (beta == 1.0 || c.is_none());
    if let (Some(kept), Values::F32(x), Values::F32(w)) = (kept, a.values(), b.values()) {
        let weights =
            kept.get_or_insert_with(|| if trans_b { Weights::by_output(w, n, k) } else { Weights::by_input(w, k, n) });
        let mut y = vec![0.0; size(&[m, n])?];
        let bias = c.filter(|c| plain && (c.dims() == [n] || c.dims() == [1, n])).and_then(Tensor::as_f32);
        weights.product(x, m, k, bias, &mut y);
        let y = Tensor::new(a.dtype(), vec![m, n], Values::F32(Arc::new(y)))?;
        return if bias.is_some() { Ok(y) } else { affine(y, c, alpha, beta) };
    }
    let b = if trans_b { transpose(b, None)? } else { b.clone() };
    affine(matmul(&a, &b, None)?, c, alpha, beta)
}

/// `alpha y + beta c`, `c` stretched to `y`.
fn affine(y: Tensor, c: Option<&Tensor>, alpha: f32, beta: f32) -> Result<Tensor> {
    let times = |x: Tensor, by: f32| {
        if by == 1.0 {
            return Ok(x);
        }
        let by = Tensor::from_f32([], vec![by])?.cast(x.dtype())?;
        binary(Binary::Mul, x, by)
    };
    let y = times(y, alpha)?;
    let Some(c) = c else { return Ok(y) };
    if joint(y.dims(), c.dims())? != y.dims() {
        return Err(Error::dimensions("Gemm: C", c.dims(), y.dims()));
    }
    binary(Binary::Add, y, times(c.clone(), beta)?)
}

/// Sum of products by subscripts, such as `bij,bjk->bik`.
pub(super) fn einsum(equation: &str, inputs: &[Tensor]) -> Result<Tensor> {
    let bad = |why: &str| Error::malformed("Einsum", format!("{equation:?}: {why}"));
    let text: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) = match text.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (&text[..], None),
    };
    let terms: Vec<&str> = left.split(',').collect();
    if terms.len() != inputs.len() || inputs.is_empty() {
        return Err(bad("another number of terms than inputs"));
    }
    // The axes an ellipsis stands for get labels no letter has, aligned at the end.
    let ellipsis = |k: usize| char::from_u32(0xE000 + k as u32).unwrap_or('.');
    let mut most = 0;
    let mut labelled = Vec::new();
    for (term, x) in terms.iter().zip(inputs) {
        let letters = term.replace("...", "");
        if !letters.chars().all(|c| c.is_ascii_alphabetic()) {
            return Err(bad("subscripts are letters"));
        }
        let rest = x.dims().len().checked_sub(letters.len()).ok_or_else(|| bad("more subscripts than axes"))?;
        if (rest > 0) != term.contains("...") && rest > 0 || rest > 1000 {
            return Err(bad("fewer subscripts than axes"));
        }
        most = most.max(rest);
        let dots: String = (0..rest).map(|i| ellipsis(1000 - rest + i)).collect();
        labelled.push((term.replace("...", &dots).chars().collect::<Vec<_>>(), x.clone()));
    }
    let dots: String = (0..most).map(|i| ellipsis(1000 - most + i)).collect();
    let output: Vec<char> = match right {
        Some(right) => right.replace("...", &dots).chars().collect(),
        // Those that occur once, in alphabetical order.
        None => {
            let all: Vec<char> = left.chars().filter(char::is_ascii_alphabetic).collect();
            let mut once: Vec<char> =
                all.iter().copied().filter(|c| all.iter().filter(|d| *d == c).count() == 1).collect();
            once.sort_unstable();
            dots.chars().chain(once).collect()
        }
    };
    let known = |c: &char| labelled.iter().any(|(labels, _)| labels.contains(c));
    if !output.iter().all(known) || (1..output.len()).any(|i| output[..i].contains(&output[i])) {
        return Err(bad("the result has a subscript twice, or one that no term has"));
    }
    let mut terms =
        labelled.into_iter().map(|(labels, x)| diagonal(labels, x)).collect::<Result<Vec<_>>>()?.into_iter();
    let mut joined = terms.next().ok_or_else(|| bad("no term"))?;
    while let Some(term) = terms.next() {
        let wanted = |c: &char| output.contains(c) || terms.as_slice().iter().any(|(labels, _)| labels.contains(c));
        joined = contract(joined, term, wanted)?;
    }
    let (labels, x) = sum_out(joined, |c| output.contains(c))?;
    let perm: Option<Vec<usize>> = output.iter().map(|c| labels.iter().position(|l| l == c)).collect();
    transpose(&x, perm.as_deref())
}

type Term = (Vec<char>, Tensor);

/// Each label once: repeated ones walk the diagonal.
fn diagonal(mut labels: Vec<char>, mut x: Tensor) -> Result<Term> {
    while let Some((i, j)) =
        (0..labels.len()).find_map(|j| labels[..j].iter().position(|c| *c == labels[j]).map(|i| (i, j)))
    {
        let n = x.dims()[i];
        if x.dims()[j] != n {
            return Err(Error::malformed("Einsum", "a subscript stands for two sizes"));
        }
        // Axis j to the end, picked by the index along axis i.
        let rank = labels.len();
        let order: Vec<usize> = (0..rank).filter(|a| *a != i && *a != j).chain([i, j]).collect();
        let y = transpose(&x, Some(&order))?;
        let outer = y.dims()[..rank - 2].iter().product::<usize>();
        let mut dims = y.dims()[..rank - 1].to_vec();
        let index: Vec<i64> = (0..outer).flat_map(|o| (0..n).map(move |k| ((o * n + k) * n + k) as i64)).collect();
        let count = index.len();
        let flat = y.reshaped([y.len()])?;
        x = super::layout::gather(&flat, &Tensor::from_i64([count], index)?, 0)?.reshaped(std::mem::take(&mut dims))?;
        let c = labels[j];
        labels = order[..rank - 2].iter().map(|a| labels[*a]).collect();
        labels.push(c);
    }
    Ok((labels, x))
}

/// Sums over the axes whose label is not wanted.
fn sum_out((labels, x): Term, wanted: impl Fn(&char) -> bool) -> Result<Term> {
    let gone: Vec<i64> = (0..labels.len()).filter(|i| !wanted(&labels[*i])).map(|i| i as i64).collect();
    if gone.is_empty() {
        return Ok((labels, x));
    }
    let x = reduce(Reduce::Sum, &x, Some(&Tensor::from_i64([gone.len()], gone)?), false, false)?;
    Ok((labels.into_iter().filter(|c| wanted(c)).collect(), x))
}

/// The product of two terms, summed over labels nobody wants: one matrix product per index of what both keep.
fn contract(a: Term, b: Term, wanted: impl Fn(&char) -> bool) -> Result<Term> {
    let a_labels = a.0.clone();
    let a = sum_out(a, |c| wanted(c) || b.0.contains(c))?;
    let b = sum_out(b, |c| wanted(c) || a_labels.contains(c))?;
    // A shared axis of size 1 on one side stretches.
    let (a, b) = (widened(a, &b)?, b);
    let (b, a) = (widened(b, &a)?, a);
    let both = |c: &&char| a.0.contains(c) && b.0.contains(c);
    let batch: Vec<char> = a.0.iter().filter(both).filter(|c| wanted(c)).copied().collect();
    let inner: Vec<char> = a.0.iter().filter(both).filter(|c| !wanted(c)).copied().collect();
    let left: Vec<char> = a.0.iter().filter(|c| !b.0.contains(c)).copied().collect();
    let right: Vec<char> = b.0.iter().filter(|c| !a.0.contains(c)).copied().collect();
    let extent = |labels: &[char]| -> Vec<usize> {
        let of = |(ls, x): &Term, c: &char| ls.iter().position(|l| l == c).map(|i| x.dims()[i]);
        labels.iter().map(|c| of(&a, c).or_else(|| of(&b, c)).unwrap_or(1)).collect()
    };
    let ordered = |(labels, x): &Term, order: [&[char]; 3]| -> Result<Tensor> {
        let perm: Option<Vec<usize>> =
            order.iter().flat_map(|o| o.iter()).map(|c| labels.iter().position(|l| l == c)).collect();
        let sizes = order.map(|o| extent(o).iter().product::<usize>());
        transpose(x, perm.as_deref())?.reshaped(sizes)
    };
    let product = matmul(&ordered(&a, [&batch, &left, &inner])?, &ordered(&b, [&batch, &inner, &right])?, None)?;
    let labels = [batch, left, right].concat();
    let dims = extent(&labels);
    Ok((labels, product.reshaped(dims)?))
}

fn widened((labels, x): Term, other: &Term) -> Result<Term> {
    let dims: Vec<usize> = labels
        .iter()
        .zip(x.dims())
        .map(|(c, d)| match other.0.iter().position(|l| l == c) {
            Some(i) if *d == 1 => other.1.dims()[i],
            _ => *d,
        })
        .collect();
    if dims == x.dims() {
        return Ok((labels, x));
    }
    let values = match x.values() {
        Values::F32(v) => Values::F32(Arc::new(expand(v, x.dims(), &dims)?)),
        Values::F64(v) => Values::F64(Arc::new(expand(v, x.dims(), &dims)?)),
        _ => return Err(refuse("Einsum", &x)),
    };
    let x = Tensor::new(x.dtype(), dims, values)?;
    Ok((labels, x))
}
