//! Files of the shared data, and comparisons with them.

use std::path::{Path, PathBuf};

use elman_graph::npy;
use elman_graph::{Dtype, Graph, Interpreter, Port, Tensor};

/// A file or folder of the shared data; `None`, and a word about it, where there is none.
pub(crate) fn data(name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let root = std::env::var_os("ELMAN_DATA").map_or(beside, PathBuf::from);
    let path = root.join(name);
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

/// An array.
pub(crate) fn array(path: &Path) -> Tensor {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    npy::parse(&path.display().to_string(), &bytes).unwrap()
}

/// An array as an input takes it: `[T]` as `[1, T, 1]`, `[T, I]` as `[1, T, I]`, tokens `[T]` as `[1, T]`.
pub(crate) fn fitted(array: Tensor, port: &Port) -> Tensor {
    let array = array.cast(if port.dtype.is_int() { Dtype::I64 } else { port.dtype }).unwrap();
    let rank = port.dims.as_ref().map_or(array.dims().len(), Vec::len);
    let mut dims = array.dims().to_vec();
    if dims.len() < rank && !port.dtype.is_int() && dims.len() == 1 {
        dims.push(1);
    }
    while dims.len() < rank {
        dims.insert(0, 1);
    }
    array.reshaped(dims).unwrap()
}

/// All outputs of a graph for an input.
pub(crate) fn run(graph: Graph, input: &Path) -> Vec<Tensor> {
    let input = fitted(array(input), &graph.inputs[0]);
    let mut interpreter = Interpreter::new(graph).unwrap_or_else(|error| panic!("{error}"));
    interpreter.run(&[input]).unwrap_or_else(|error| panic!("{error}"))
}

/// The largest difference from a recorded output.
pub(crate) fn difference(got: &Tensor, want: &Tensor) -> f64 {
    assert_eq!(got.len(), want.len(), "{:?} and {:?}", got.dims(), want.dims());
    let (got, want) = (got.cast(Dtype::F64).unwrap(), want.cast(Dtype::F64).unwrap());
    let pairs = got.as_f64().unwrap().iter().zip(want.as_f64().unwrap());
    pairs.map(|(a, b)| if a.is_nan() { f64::INFINITY } else { (a - b).abs() }).fold(0.0, f64::max)
}

/// Fails where the outputs are further apart than `bound`.
pub(crate) fn close(what: &str, got: &Tensor, want: &Path, bound: f64) {
    let difference = difference(got, &array(want));
    println!("{what}: {difference:.2e} (bound {bound:e})");
    assert!(difference <= bound, "{what}: {difference:e} from {}", want.display());
}
