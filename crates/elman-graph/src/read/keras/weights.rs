//! Which datasets belong to which layer.

use crate::error::{Error, Result};
use crate::read::json::Json;
use crate::read::tensors::Tensors;
use crate::tensor::Tensor;

use super::hdf5::Store;

/// The weights of a model: per layer a list in the order in which the layer creates them.
pub(crate) struct Weights {
    tensors: Tensors,
    layout: Layout,
}

enum Layout {
    /// Group and the attribute `weight_names` of each layer (`.h5`).
    Named(Vec<(String, Vec<String>)>),
    /// `layers/lstm_1/cell/vars/0` (`.weights.h5`): the layer's name, its place, and its datasets.
    Numbered(Vec<Numbered>),
}

struct Numbered {
    /// What the file says; older ones do not.
    layer: Option<String>,
    /// `lstm_1`: the second of its class.
    place: String,
    datasets: Vec<String>,
}

impl Weights {
    /// Finds the layers of a file.
    ///
    /// # Errors
    /// A file that holds weights in neither layout.
    pub(crate) fn find(store: &Store) -> Result<Self> {
        for root in ["model_weights", ""] {
            if let Some(names) = store.texts(root, "layer_names") {
                let (tensors, _) = store.datasets(root)?;
                let list = |layer: String| {
                    let path = format!("{root}/{layer}");
                    let weights = store.texts(&path, "weight_names").unwrap_or_default();
                    let datasets = weights.iter().map(|weight| format!("{layer}/{weight}")).collect();
                    (layer, datasets)
                };
                return Ok(Weights { tensors, layout: Layout::Named(names.into_iter().map(list).collect()) });
            }
        }
        let (tensors, named) = store.datasets("")?;
        let mut numbered: Vec<Numbered> = Vec::new();
        for name in tensors.names() {
            // Keras 2.12 to 2.15 call the list of layers otherwise.
            let rest = name.strip_prefix("layers/").or_else(|| name.strip_prefix("_layer_checkpoint_dependencies/"));
            let Some((place, _)) = rest.and_then(|rest| rest.split_once('/')) else { continue };
            // The state of random numbers is not a weight.
            if name.contains("/seed_generator/") {
                continue;
            }
            match numbered.iter_mut().find(|layer| layer.place == place) {
                Some(layer) => layer.datasets.push(name.to_owned()),
                None => {
                    numbered.push(Numbered { layer: None, place: place.to_owned(), datasets: vec![name.to_owned()] })
                }
            }
        }
        if numbered.is_empty() {
            return Err(Error::malformed(
                "the HDF5 file",
                "neither layer_names nor a group layers: no weights of Keras",
            ));
        }
        for layer in &mut numbered {
            let own = format!("/{}/vars", layer.place);
            layer.layer = named
                .iter()
                .find(|(path, _)| path.ends_with(&own) && path.matches('/').count() == 2)
                .map(|(_, name)| name.clone());
            layer.datasets.sort_by_key(|path| order(path));
        }
        Ok(Weights { tensors, layout: Layout::Numbered(numbered) })
    }

    /// The datasets of the layer `name`, the `nth` of its class (`snake`) in the model.
    pub(crate) fn of(&self, name: &str, snake: &str, nth: usize) -> Vec<String> {
        match &self.layout {
            Layout::Named(layers) => {
                layers.iter().find(|(layer, _)| layer == name).map(|(_, datasets)| datasets.clone()).unwrap_or_default()
            }
            Layout::Numbered(layers) => {
                let place = if nth == 0 { snake.to_owned() } else { format!("{snake}_{nth}") };
                let says = layers.iter().any(|layer| layer.layer.is_some());
                let found = layers.iter().find(|layer| match &layer.layer {
                    Some(layer) => layer == name,
                    None => !says && layer.place == place,
                });
                found.map(|layer| layer.datasets.clone()).unwrap_or_default()
            }
        }
    }

    /// Dimensions of a dataset.
    pub(crate) fn dims(&self, path: &str) -> Option<&[usize]> {
        self.tensors.dims(path)
    }

    /// The numbers of a dataset.
    ///
    /// # Errors
    /// If it is absent or has other dimensions than `dims`.
    pub(crate) fn take(&mut self, path: &str, layer: &str, dims: &[usize], what: &str) -> Result<Tensor> {
        self.tensors.take(path, layer, dims, what)
    }

    /// The tensors, for the report. What is no weight of a layer is passed over.
    pub(crate) fn into_tensors(mut self) -> Tensors {
        let others: Vec<String> = self
            .tensors
            .names()
            .filter(|name| name.contains("seed_generator/") || name.starts_with("optimizer"))
            .map(String::from)
            .collect();
        for name in others {
            self.tensors.pass_over(&name, "not a weight of a layer");
        }
        self.tensors
    }
}

/// `forward_layer` before `backward_layer`, a layer's own variables before those within it, and all in numeric order.
fn order(path: &str) -> (bool, String, usize) {
    let (group, number) = path.rsplit_once('/').unwrap_or(("", path));
    (path.contains("/backward_layer/"), group.to_owned(), number.parse().unwrap_or(usize::MAX))
}

/// A class as Keras writes it in paths: `SimpleRNN` is `simple_rnn`, `Conv1D` `conv1d`.
pub(crate) fn snake_case(class: &str) -> String {
    let chars: Vec<char> = class.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect();
    let mut snake = String::new();
    for (at, &c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| chars.get(at));
        let after = chars.get(at + 1);
        // A capital begins a word after a small letter, and before one unless it is the first.
        let starts = c.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase() || (after.is_some_and(|after| after.is_lowercase()) && *before != '_')
            });
        if starts {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

/// A layer's configuration, with errors that name the layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Config<'a> {
    pub(crate) layer: &'a str,
    pub(crate) json: &'a Json,
}

impl<'a> Config<'a> {
    /// The value of the first of `keys` that is there and not null: Keras 1 had other names.
    pub(crate) fn get(&self, keys: &[&str]) -> Option<&'a Json> {
        keys.iter().find_map(|key| self.json.some(key))
    }

    fn wrong(&self, keys: &[&str], want: &str) -> Error {
        let key = keys.first().copied().unwrap_or_default();
        Error::malformed(format!("layer {}", self.layer), format!("its {key} is missing or not {want}"))
    }

    /// A size above 0.
    pub(crate) fn size(&self, keys: &[&str]) -> Result<usize> {
        let value = self.get(keys).and_then(|value| value.size().or_else(|| value.list()?.first()?.size()));
        value.filter(|size| *size > 0).ok_or_else(|| self.wrong(keys, "a size"))
    }

    /// A size above 0, or `otherwise` where it is not given.
    pub(crate) fn size_or(&self, keys: &[&str], otherwise: usize) -> Result<usize> {
        if self.get(keys).is_some() { self.size(keys) } else { Ok(otherwise) }
    }

    /// A switch, or `otherwise` where it is not given.
    pub(crate) fn flag(&self, keys: &[&str], otherwise: bool) -> Result<bool> {
        match self.get(keys) {
            None => Ok(otherwise),
            Some(value) => value.flag().ok_or_else(|| self.wrong(keys, "true or false")),
        }
    }

    /// A number, or `otherwise` where it is not given.
    pub(crate) fn number(&self, keys: &[&str], otherwise: f64) -> Result<f64> {
        match self.get(keys) {
            None => Ok(otherwise),
            Some(value) => {
                // Keras 2 writes some as arrays.
                let value = value.number().or_else(|| value.get("value")?.number());
                value.ok_or_else(|| self.wrong(keys, "a number"))
            }
        }
    }

    /// A name, or `otherwise` where it is not given.
    pub(crate) fn text(&self, keys: &[&str], otherwise: &'a str) -> Result<&'a str> {
        match self.get(keys) {
            None => Ok(otherwise),
            Some(value) => value.text().ok_or_else(|| self.wrong(keys, "a name")),
        }
    }

    /// An error of something that is not implemented.
    pub(crate) fn unsupported(&self, what: impl Into<String>) -> Error {
        Error::unsupported(format!("layer {}", self.layer), what)
    }
}

#[cfg(test)]
mod tests {
    use super::snake_case;

    #[test]
    fn classes_are_written_as_keras_writes_them() {
        // `keras.src.utils.naming.to_snake_case` of 3.15.1.
        for (class, snake) in [
            ("LSTM", "lstm"),
            ("SimpleRNN", "simple_rnn"),
            ("Conv1D", "conv1d"),
            ("BatchNormalization", "batch_normalization"),
            ("TimeDistributed", "time_distributed"),
            ("PReLU", "p_re_lu"),
            ("LeakyReLU", "leaky_re_lu"),
            ("ELU", "elu"),
            ("GlobalAveragePooling1D", "global_average_pooling1d"),
            ("InputLayer", "input_layer"),
        ] {
            assert_eq!(snake_case(class), snake);
        }
    }
}
