//! A model with its matrices in bfloat16 or int8: a half or a quarter of the size, with steps bit-identical to those of
//! the full model read in that precision.
//!
//! Only matrices that a step multiplies are rounded: recurrent and output matrices. Embeddings, and the first layer's
//! input matrix if it is indexed by tokens, stay `f32`.

use elman_kernels::step::{INT8_DEPTH, round_to_bf16, round_to_bytes};
use elman_step::Precision;
use elman_step::model::{Document, ModelError, scale_name};
use serde_json::Value;

use super::document::{DocumentWriter, Tensor, TensorData};

/// Name prefix of tensors that only training needs.
const TRAINING: &str = "training.";

/// A quantized model, ready to be written.
#[derive(Debug, Clone)]
pub struct Quantized {
    config: Value,
    tensors: Vec<(String, Vec<usize>, Elements)>,
}

#[derive(Debug, Clone)]
enum Elements {
    F32(Vec<f32>),
    Bf16(Vec<u16>),
    I8(Vec<i8>),
}

/// Rounds the matrices of a model; for a checkpoint, those of its model, without the training state. With
/// [`Precision::F32`] nothing is rounded: a quantized model is dequantized.
///
/// # Errors
/// [`ModelError::Unsupported`] for a model that is already rounded; [`ModelError::NotFinite`] with the weight at fault;
/// [`ModelError::Type`] for a tensor that does not hold weights.
pub fn quantize(document: &Document, precision: Precision) -> Result<Quantized, ModelError> {
    if precision != Precision::F32 && document.precision() != Precision::F32 {
        let reason = "its weights are already rounded, and rounding twice loses more; use the full model";
        return Err(ModelError::Unsupported { reason: reason.into() });
    }
    let mut config = document.config().clone();
    let reads_tokens = config["network"]["feed"]["tokens"].is_u64();
    if let Value::Object(config) = &mut config {
        config.remove("training");
        config.insert("kind".into(), "model".into());
    }
    let mut tensors = Vec::new();
    for name in document.names().filter(|name| !name.starts_with(TRAINING) && !document.is_scale(name)) {
        let dims = document.tensor(name).map_or_else(Vec::new, |view| view.dims.to_vec());
        let weights = document.f32(name)?;
        if let Some(index) = weights.iter().position(|w| !w.is_finite()) {
            return Err(ModelError::NotFinite { tensor: name.into(), index });
        }
        let (name, cols) = (name.to_string(), dims.last().copied().unwrap_or(0));
        match precision {
            _ if !is_multiplied(&name, &dims, reads_tokens) => tensors.push((name, dims, Elements::F32(weights))),
            Precision::F32 => tensors.push((name, dims, Elements::F32(weights))),
            Precision::Int8 if cols <= INT8_DEPTH => {
                let mut bytes = vec![0; weights.len()];
                let rows = weights.chunks_exact(cols).zip(bytes.chunks_exact_mut(cols));
                let scales: Vec<f32> = rows.map(|(row, bytes)| round_to_bytes(row, bytes)).collect();
                tensors.push((scale_name(&name), vec![scales.len()], Elements::F32(scales)));
                tensors.push((name, dims, Elements::I8(bytes)));
            }
            Precision::Bf16 | Precision::Int8 => {
                let halves = weights.iter().map(|w| round_to_bf16(*w)).collect();
                tensors.push((name, dims, Elements::Bf16(halves)));
            }
        }
    }
    Ok(Quantized { config, tensors })
}

/// Whether a step multiplies by this tensor: a matrix of a recurrent or linear layer, not an embedding.
fn is_multiplied(name: &str, dims: &[usize], reads_tokens: bool) -> bool {
    let (layer, part) = name.rsplit_once('.').unwrap_or(("", name));
    let is_table = layer == "embedding" || reads_tokens && layer == "rnn" && part.starts_with("weight_ih_l0");
    let is_weight = part == "weight" || part.starts_with("weight_ih") || part.starts_with("weight_hh");
    dims.len() == 2 && dims[1] > 0 && is_weight && !is_table
}

impl Quantized {
    /// The model file to write.
    pub fn document(&self) -> DocumentWriter<'_> {
        let tensors = self.tensors.iter().map(|(name, dims, elements)| Tensor {
            name: name.clone(),
            dims: dims.clone(),
            data: match elements {
                Elements::F32(data) => TensorData::F32(data),
                Elements::Bf16(data) => TensorData::Bf16(data),
                Elements::I8(data) => TensorData::I8(data),
            },
        });
        DocumentWriter { config: self.config.clone(), tensors: tensors.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bytes(precision: Precision, weights: &[f32; 6]) -> Result<Vec<u8>, ModelError> {
        let tensor = |name: &str, dims: &[usize], data| Tensor { name: name.into(), dims: dims.into(), data };
        let full = DocumentWriter {
            config: json!({"kind": "checkpoint", "training": {"step": 1}, "network": {"feed": {"tokens": 3}}}),
            tensors: vec![
                tensor("rnn.weight_hh_l0", &[2, 3], TensorData::F32(weights)),
                tensor("rnn.weight_ih_l0", &[2, 3], TensorData::F32(&[0.1; 6])),
                tensor("rnn.bias_hh_l0", &[6], TensorData::F32(&[0.1; 6])),
                tensor("rnn.weight_peephole_l0", &[3, 2], TensorData::F32(&[0.1; 6])),
                tensor("embedding.weight", &[3, 2], TensorData::F32(&[0.1; 6])),
                tensor("training.adam.m", &[6], TensorData::F32(&[0.1; 6])),
            ],
        };
        let full = full.to_bytes().unwrap();
        quantize(&Document::parse(&full).unwrap(), precision)?.document().to_bytes()
    }

    #[test]
    fn matrices_are_rounded_and_the_training_state_is_dropped() {
        let weights = [0.5, -1.0, 0.25, 0.0, 3.0, 1.0];
        let file = bytes(Precision::Int8, &weights).unwrap();
        let document = Document::parse(&file).unwrap();
        assert_eq!(document.precision(), Precision::Int8);
        let view = document.tensor("rnn.weight_hh_l0").unwrap();
        assert_eq!(view.bytes, [64, -127i8 as u8, 32, 0, 127, 42]);
        let got = document.expect_f32("rnn.weight_hh_l0", &[2, 3]).unwrap();
        assert_eq!((got[1], got[3], got[4]), (-1.0, 0.0, 3.0));
        let mut copy = [9.0; 6];
        document.copy_f32("rnn.weight_hh_l0", &[2, 3], &mut copy).unwrap();
        assert_eq!(copy[..], got[..]);
        assert!(got.iter().zip(weights).all(|(got, want)| (got - want).abs() <= 3.0 / 254.0 + 1e-6), "{got:?}");
        for kept in ["rnn.weight_ih_l0", "rnn.bias_hh_l0", "rnn.weight_peephole_l0", "embedding.weight"] {
            assert_eq!(document.f32(kept).unwrap(), [0.1; 6], "{kept}");
        }
        assert_eq!(document.names().count(), 6);
        assert!(document.config()["training"].is_null() && document.config()["kind"] == "model");
        let file = bytes(Precision::Bf16, &[1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, -1e-3, 0.0, 3.0, 1.0]).unwrap();
        let got = Document::parse(&file).unwrap().f32("rnn.weight_hh_l0").unwrap();
        // Ties go to the even neighbour.
        assert_eq!(got[..2], [1.0, 1.0 + 4.0 / 256.0]);
    }

    #[test]
    fn scales_that_are_missing_or_of_other_dimensions_are_named() {
        let broken = |dims: &[usize]| {
            let scales = vec![1.0; dims.iter().product()];
            let bytes = Tensor { name: "w".into(), dims: vec![2, 2], data: TensorData::I8(&[1, 2, 3, -127]) };
            let scales = Tensor { name: "w.scale".into(), dims: dims.into(), data: TensorData::F32(&scales) };
            let tensors = if dims.is_empty() { vec![bytes] } else { vec![bytes, scales] };
            DocumentWriter { config: json!({"kind": "model"}), tensors }.to_bytes().unwrap()
        };
        let message = |file: Vec<u8>| Document::parse(&file).unwrap().f32("w").unwrap_err().to_string();
        assert!(message(broken(&[])).starts_with("w.scale: not in the file"));
        assert!(message(broken(&[3])).contains("w.scale: [3] in the file, but the config needs [2]"));
        let file = broken(&[2]);
        assert_eq!(Document::parse(&file).unwrap().f32("w").unwrap(), [1.0, 2.0, 3.0, -127.0]);
    }

    #[test]
    fn rounded_or_non_finite_models_are_refused() {
        let file = bytes(Precision::Bf16, &[1.0; 6]).unwrap();
        let document = Document::parse(&file).unwrap();
        assert!(quantize(&document, Precision::Int8).unwrap_err().to_string().contains("already rounded"));
        // Back to f32: the same numbers.
        let back = quantize(&document, Precision::F32).unwrap().document().to_bytes().unwrap();
        assert_eq!(Document::parse(&back).unwrap().f32("rnn.weight_hh_l0").unwrap(), [1.0; 6]);
        let error = bytes(Precision::Int8, &[1.0, 1.0, f32::NAN, 1.0, 1.0, 1.0]).unwrap_err();
        assert_eq!(error, ModelError::NotFinite { tensor: "rnn.weight_hh_l0".into(), index: 2 });
    }
}
