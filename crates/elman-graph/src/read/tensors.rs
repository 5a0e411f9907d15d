//! The tensors of a foreign file, and what became of each.

use std::collections::HashMap;

use crate::builder::Builder;
use crate::error::{Error, Result};
use crate::graph::Fate;
use crate::tensor::{Dtype, Tensor};

/// Named tensors in the order of their file. Each is used, passed over for a reason, or an error in the end.
#[derive(Default)]
pub(crate) struct Tensors {
    entries: Vec<Entry>,
    places: HashMap<String, usize>,
}

struct Entry {
    name: String,
    dims: Vec<usize>,
    numbers: Numbers,
    fate: Option<Fate>,
}

/// The numbers of a tensor, held once: they are gone from here when a layer has them.
enum Numbers {
    Ready(Tensor),
    /// Still in the file.
    #[cfg(feature = "keras")]
    Unread(Box<dyn FnOnce() -> Result<Tensor>>),
    Gone,
}

impl Tensors {
    /// # Errors
    /// A name twice; a weight that is not a finite number.
    pub(crate) fn new(named: Vec<(String, Tensor)>) -> Result<Self> {
        let mut tensors = Tensors::default();
        for (name, tensor) in named {
            finite(&name, &tensor)?;
            let dims = tensor.dims().to_vec();
            tensors.push(name, dims, Numbers::Ready(tensor))?;
        }
        Ok(tensors)
    }

    /// A tensor that is read when a layer needs it.
    ///
    /// # Errors
    /// A name twice.
    #[cfg(feature = "keras")]
    pub(crate) fn unread(
        &mut self,
        name: String,
        dims: Vec<usize>,
        read: Box<dyn FnOnce() -> Result<Tensor>>,
    ) -> Result<()> {
        self.push(name, dims, Numbers::Unread(read))
    }

    fn push(&mut self, name: String, dims: Vec<usize>, numbers: Numbers) -> Result<()> {
        if self.places.insert(name.clone(), self.entries.len()).is_some() {
            return Err(Error::malformed(format!("tensor {name}"), "its name occurs twice"));
        }
        self.entries.push(Entry { name, dims, numbers, fate: None });
        Ok(())
    }

    /// All names, in the order of the file.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    fn entry(&mut self, name: &str) -> Option<&mut Entry> {
        self.places.get(name).and_then(|&at| self.entries.get_mut(at))
    }

    /// Dimensions of a tensor.
    pub(crate) fn dims(&self, name: &str) -> Option<&[usize]> {
        self.places.get(name).and_then(|&at| self.entries.get(at)).map(|entry| entry.dims.as_slice())
    }

    /// A tensor that `layer` needs, as float32 and with `dims`; `what` becomes of it. The dimensions are compared before
    /// any number is read.
    ///
    /// # Errors
    /// If it is absent or has other dimensions.
    pub(crate) fn take(&mut self, name: &str, layer: &str, dims: &[usize], what: &str) -> Result<Tensor> {
        match self.dims(name) {
            Some(found) if found != dims => Err(Error::dimensions(format!("tensor {name}"), found, dims)),
            _ => self.any(name, layer, what),
        }
    }

    /// A tensor that `layer` needs, as float32 and of any dimensions; `what` becomes of it.
    ///
    /// # Errors
    /// If it is absent, or another layer had it.
    pub(crate) fn any(&mut self, name: &str, layer: &str, what: &str) -> Result<Tensor> {
        let entry = self.entry(name).ok_or_else(|| Error::Missing {
            part: format!("tensor {name}"),
            needed_by: if layer.is_empty() { "the network".into() } else { format!("layer {layer}") },
        })?;
        entry.fate = Some(Fate::Used(if layer.is_empty() { what.into() } else { format!("{layer}: {what}") }));
        let tensor = match std::mem::replace(&mut entry.numbers, Numbers::Gone) {
            Numbers::Ready(tensor) => tensor,
            #[cfg(feature = "keras")]
            Numbers::Unread(read) => {
                let tensor = read()?;
                finite(name, &tensor)?;
                tensor
            }
            Numbers::Gone => return Err(Error::malformed(format!("tensor {name}"), "two layers use it")),
        };
        tensor.cast(Dtype::F32)
    }

    /// Says why a tensor is of no use to the network, unless it was used.
    pub(crate) fn pass_over(&mut self, name: &str, why: &str) {
        if let Some(entry) = self.entry(name) {
            entry.fate.get_or_insert_with(|| Fate::Unused(why.into()));
        }
    }

    /// Notes what became of every tensor.
    ///
    /// # Errors
    /// Names those that nothing was made of; `advice` follows.
    pub(crate) fn report(&self, builder: &mut Builder, advice: &str) -> Result<()> {
        let left: Vec<&str> =
            self.entries.iter().filter(|entry| entry.fate.is_none()).map(|entry| entry.name.as_str()).collect();
        if let Some((first, rest)) = left.split_first() {
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            return Err(Error::Unused { part: format!("tensor {first}{more}"), advice: format!("; {advice}") });
        }
        for entry in &self.entries {
            if let Some(fate) = &entry.fate {
                builder.note(&entry.name, &entry.dims, fate.clone());
            }
        }
        Ok(())
    }
}

/// # Errors
/// If a number is infinite or none: it would make every output so.
pub(crate) fn finite(name: &str, tensor: &Tensor) -> Result<()> {
    let odd = match (tensor.as_f32(), tensor.as_f64()) {
        (Some(values), _) => values.iter().position(|x| !x.is_finite()),
        // As float32, in which it is used.
        (_, Some(values)) => values.iter().position(|x| !(*x as f32).is_finite()),
        _ => None,
    };
    match odd {
        Some(at) => Err(Error::malformed(format!("tensor {name}"), format!("its element {at} is not a finite number"))),
        None => Ok(()),
    }
}

/// Rows and columns exchanged; of more axes, all in reverse order.
pub(crate) fn transposed(tensor: &Tensor) -> Result<Tensor> {
    if let &[rows, columns] = tensor.dims() {
        let values = tensor.to_f32();
        let moved = (0..columns).flat_map(|column| values.iter().skip(column).step_by(columns).copied()).collect();
        return Tensor::from_f32([columns, rows], moved);
    }
    let axes: Vec<usize> = (0..tensor.dims().len()).rev().collect();
    permuted(tensor, &axes)
}

/// Axes in another order: axis `i` of the result is axis `axes[i]` of `tensor`, as float32.
pub(crate) fn permuted(tensor: &Tensor, axes: &[usize]) -> Result<Tensor> {
    let (dims, values) = (tensor.dims(), tensor.to_f32());
    let mut strides = vec![1; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis] * dims[axis];
    }
    let out: Vec<usize> = axes.iter().map(|&axis| dims[axis]).collect();
    let steps: Vec<usize> = axes.iter().map(|&axis| strides[axis]).collect();
    let mut index = vec![0; out.len()];
    let mut moved = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        moved.push(values[index.iter().zip(&steps).map(|(i, step)| i * step).sum::<usize>()]);
        for axis in (0..out.len()).rev() {
            index[axis] += 1;
            if index[axis] < out[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    Tensor::from_f32(out, moved)
}

/// Equal blocks of rows in another order: block `i` of the result is block `order[i]`.
///
/// # Errors
/// If the rows cannot be divided so.
pub(crate) fn blocks(name: &str, tensor: &Tensor, order: &[usize]) -> Result<Tensor> {
    let rows = tensor.dims().first().copied().unwrap_or(0);
    if rows % order.len() != 0 {
        return Err(Error::malformed(
            format!("tensor {name}"),
            format!("its {rows} rows are not {} gates", order.len()),
        ));
    }
    let values = tensor.to_f32();
    let block = values.len() / order.len();
    let moved = order.iter().flat_map(|&at| &values[at * block..(at + 1) * block]).copied().collect();
    Tensor::from_f32(tensor.dims(), moved)
}

/// Tensors of equal dimensions, one after the other along a new first axis.
///
/// # Errors
/// If their dimensions differ.
pub(crate) fn stacked(name: &str, tensors: &[Tensor]) -> Result<Tensor> {
    let first = tensors.first().map(|tensor| tensor.dims().to_vec()).unwrap_or_default();
    let mut values = Vec::new();
    for tensor in tensors {
        if tensor.dims() != first {
            return Err(Error::dimensions(name, tensor.dims(), &first));
        }
        values.extend(tensor.to_f32());
    }
    Tensor::from_f32([&[tensors.len()], first.as_slice()].concat(), values)
}

/// Vectors end to end.
pub(crate) fn joined(tensors: &[&Tensor]) -> Result<Tensor> {
    let values: Vec<f32> = tensors.iter().flat_map(|tensor| tensor.to_f32()).collect();
    Tensor::from_f32([values.len()], values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(dims: &[usize]) -> Tensor {
        Tensor::from_f32(dims, (0..dims.iter().product::<usize>()).map(|x| x as f32).collect()).unwrap()
    }

    #[test]
    fn axes_and_blocks_move_as_in_numpy() {
        assert_eq!(transposed(&counted(&[2, 3])).unwrap().to_f32(), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        let moved = permuted(&counted(&[2, 3, 2]), &[1, 0, 2]).unwrap();
        assert_eq!((moved.dims(), &moved.to_f32()[..6]), (&[3, 2, 2][..], &[0.0, 1.0, 6.0, 7.0, 2.0, 3.0][..]));
        assert_eq!(blocks("w", &counted(&[4, 2]), &[1, 0]).unwrap().to_f32(), [4.0, 5.0, 6.0, 7.0, 0.0, 1.0, 2.0, 3.0]);
        assert!(blocks("w", &counted(&[4, 2]), &[0, 1, 2]).is_err());
    }

    #[test]
    fn a_tensor_without_a_use_and_a_number_that_is_none_are_named() {
        let mut tensors = Tensors::new(vec![("a".into(), counted(&[2])), ("b".into(), counted(&[3]))]).unwrap();
        tensors.take("a", "dense", &[2], "bias").unwrap();
        assert!(tensors.take("a", "dense", &[3], "bias").is_err());
        let error = tensors.report(&mut Builder::new("x"), "remove it").unwrap_err().to_string();
        assert!(error.contains("tensor b") && error.contains("remove it"), "{error}");
        let odd = Tensor::from_f32([2], vec![0.0, f32::NAN]).unwrap();
        assert!(Tensors::new(vec![("n".into(), odd)]).err().unwrap().to_string().contains("tensor n: its element 1"));
        assert!(Tensors::new(vec![("a".into(), counted(&[1])), ("a".into(), counted(&[1]))]).is_err());
    }
}
