//! The stack machine of the pickle format (Python, `Lib/pickle.py`).

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::tensor::Dtype;

use super::value::{Node, Storage, Value, View};

/// Most values a pickle may hold: some 25,000 tensors, 30 MB here.
const MOST_VALUES: usize = 400_000;

/// Classes whose objects may stand beside the weights and are passed over.
const HARMLESS: [&str; 23] = [
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.dtype",
    "numpy.ndarray",
    "_codecs.encode",
    "torch.Size",
    "torch.device",
    "argparse.Namespace",
    "collections.Counter",
    "datetime.date",
    "datetime.datetime",
    "datetime.timedelta",
    "pathlib.Path",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
    "builtins.set",
    "builtins.frozenset",
    "builtins.bytearray",
    "builtins.complex",
    "__builtin__.set",
    "__builtin__.bytearray",
];

/// The machine: what it reads, what it made, and the stack.
#[derive(Default)]
pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<usize, Value>,
    made: usize,
}

fn damaged(reason: impl Into<String>) -> Error {
    Error::malformed("the pickle", reason)
}

impl<'a> Machine<'a> {
    /// Reads one pickle: all values, the one it stands for, and how many bytes it took.
    ///
    /// # Errors
    /// As [`super::Pickle::parse`].
    pub(super) fn run(bytes: &'a [u8]) -> Result<(Vec<Node>, Value, usize)> {
        let mut machine = Machine { bytes, ..Machine::default() };
        loop {
            let code = machine.take(1)?[0];
            if code == b'.' {
                let root = machine.pop()?;
                return Ok((machine.nodes, root, machine.at));
            }
            machine.step(code)?;
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let taken = self.at.checked_add(count).and_then(|end| self.bytes.get(self.at..end));
        self.at = self.at.saturating_add(count);
        taken.ok_or_else(|| damaged("it ends too early"))
    }

    /// A little-endian whole number of up to eight bytes.
    fn number(&mut self, bytes: usize) -> Result<usize> {
        let value = self.take(bytes)?.iter().rev().fold(0u64, |n, &byte| n << 8 | u64::from(byte));
        usize::try_from(value).map_err(|_| damaged("a length beyond the memory of this machine"))
    }

    fn line(&mut self) -> Result<&'a str> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|&byte| byte == b'\n').ok_or_else(|| damaged("it ends too early"))?;
        self.at += end + 1;
        std::str::from_utf8(&rest[..end]).map_err(|_| damaged("a name that is not UTF-8"))
    }

    fn push(&mut self, value: Value) -> Result<()> {
        self.made += 1;
        if self.made > MOST_VALUES {
            let (size, most) = ("more values than a state dict has".into(), format!("{MOST_VALUES} values"));
            return Err(Error::TooLarge { part: "the pickle".into(), size, most });
        }
        self.stack.push(value);
        Ok(())
    }

    fn push_node(&mut self, node: Node) -> Result<()> {
        self.nodes.push(node);
        self.push(Value::At(self.nodes.len() - 1))
    }

    fn push_text(&mut self, bytes: &[u8]) -> Result<()> {
        self.push_node(Node::Text(String::from_utf8_lossy(bytes).into_owned()))
    }

    fn pop(&mut self) -> Result<Value> {
        // What lies below a mark belongs to what is built outside it.
        if self.marks.last().is_some_and(|&mark| self.stack.len() <= mark) {
            return Err(damaged("a value is missing"));
        }
        self.stack.pop().ok_or_else(|| damaged("a value is missing"))
    }

    fn top(&self) -> Result<Value> {
        self.stack.last().copied().ok_or_else(|| damaged("a value is missing"))
    }

    fn popped_to_mark(&mut self) -> Result<Vec<Value>> {
        let mark = self.marks.pop().ok_or_else(|| damaged("a mark is missing"))?;
        if mark > self.stack.len() {
            return Err(damaged("a mark above the stack"));
        }
        Ok(self.stack.split_off(mark))
    }

    fn popped(&mut self, count: usize) -> Result<Vec<Value>> {
        let mut values = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>>>()?;
        values.reverse();
        Ok(values)
    }

    fn node(&self, value: Value) -> Option<&Node> {
        match value {
            Value::At(at) => self.nodes.get(at),
            _ => None,
        }
    }

    fn remember(&mut self, key: usize) -> Result<()> {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: usize) -> Result<()> {
        let value = *self.memo.get(&key).ok_or_else(|| damaged("a reference to a value that was never stored"))?;
        self.push(value)
    }

    fn append(&mut self, values: Vec<Value>) -> Result<()> {
        let list = self.top()?;
        match list {
            Value::At(at) => match self.nodes.get_mut(at) {
                Some(Node::List(list)) => list.extend(values),
                Some(Node::Opaque) => {}
                _ => return Err(damaged("members are added to what is not a list")),
            },
            _ => return Err(damaged("members are added to what is not a list")),
        }
        Ok(())
    }

    fn set(&mut self, flat: &[Value]) -> Result<()> {
        let (pairs, rest) = flat.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(damaged("a key without a value"));
        }
        let pairs = pairs.iter().map(|&[key, value]| (key, value));
        match self.top()? {
            Value::At(at) => match self.nodes.get_mut(at) {
                Some(Node::Dict(dict)) => dict.extend(pairs),
                Some(Node::Opaque) => {}
                _ => return Err(damaged("keys are set in what is not a dict")),
            },
            _ => return Err(damaged("keys are set in what is not a dict")),
        }
        Ok(())
    }

    fn step(&mut self, code: u8) -> Result<()> {
        match code {
            // PROTO, FRAME: lengths of what follows anyway.
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.popped_to_mark()?),
            b'2' => self.push(self.top()?)?,
            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            b'J' => {
                let bytes: [u8; 4] = self.take(4)?.try_into().unwrap_or_default();
                self.push(Value::Int(i32::from_le_bytes(bytes).into()))?;
            }
            b'K' => {
                let value = self.number(1)?;
                self.push(Value::Int(value as i64))?;
            }
            b'M' => {
                let value = self.number(2)?;
                self.push(Value::Int(value as i64))?;
            }
            b'G' => {
                let bytes: [u8; 8] = self.take(8)?.try_into().unwrap_or_default();
                self.push(Value::Float(f64::from_be_bytes(bytes)))?;
            }
            b'I' | b'L' => {
                let text = self.line()?;
                let value = match text {
                    "00" => Value::Bool(false),
                    "01" => Value::Bool(true),
                    // A number beyond i64 is none of ours: the magic number of a legacy file comes as LONG1.
                    _ => text.trim_end_matches('L').parse().map_or(Value::None, Value::Int),
                };
                self.push(value)?;
            }
            b'F' => {
                let value = self.line()?.parse().map_err(|_| damaged("a number that is none"))?;
                self.push(Value::Float(value))?;
            }
            0x8a | 0x8b => {
                let count = self.number(if code == 0x8a { 1 } else { 4 })?;
                let bytes = self.take(count)?;
                self.push(long(bytes))?;
            }
            b'X' | 0x8c | 0x8d | b'T' | b'U' => {
                let count = self.number(match code {
                    0x8c | b'U' => 1,
                    0x8d => 8,
                    _ => 4,
                })?;
                let bytes = self.take(count)?;
                self.push_text(bytes)?;
            }
            b'V' | b'S' => {
                let text = self.line()?.trim_matches(|c| c == '\'' || c == '"');
                self.push_text(text.as_bytes())?;
            }
            b'B' | b'C' | 0x8e | 0x96 => {
                let count = self.number(match code {
                    b'C' => 1,
                    b'B' => 4,
                    _ => 8,
                })?;
                self.take(count)?;
                self.push_node(Node::Bytes)?;
            }
            b']' => self.push_node(Node::List(Vec::new()))?,
            b')' => self.push_node(Node::Tuple(Vec::new()))?,
            b'}' => self.push_node(Node::Dict(Vec::new()))?,
            0x8f => self.push_node(Node::Opaque)?,
            b'l' => {
                let values = self.popped_to_mark()?;
                self.push_node(Node::List(values))?;
            }
            b't' => {
                let values = self.popped_to_mark()?;
                self.push_node(Node::Tuple(values))?;
            }
            0x91 => {
                self.popped_to_mark()?;
                self.push_node(Node::Opaque)?;
            }
            0x85..=0x87 => {
                let values = self.popped(usize::from(code - 0x84))?;
                self.push_node(Node::Tuple(values))?;
            }
            b'd' => {
                let values = self.popped_to_mark()?;
                self.push_node(Node::Dict(Vec::new()))?;
                self.set(&values)?;
            }
            b'a' => {
                let value = self.pop()?;
                self.append(vec![value])?;
            }
            b'e' | 0x90 => {
                let values = self.popped_to_mark()?;
                self.append(values)?;
            }
            b's' => {
                let values = self.popped(2)?;
                self.set(&values)?;
            }
            b'u' => {
                let values = self.popped_to_mark()?;
                self.set(&values)?;
            }
            b'p' => {
                let key = self.line()?.parse().map_err(|_| damaged("a place that is not a number"))?;
                self.remember(key)?;
            }
            b'q' | b'r' => {
                let key = self.number(if code == b'q' { 1 } else { 4 })?;
                self.remember(key)?;
            }
            0x94 => self.remember(self.memo.len())?,
            b'g' => {
                let key = self.line()?.parse().map_err(|_| damaged("a place that is not a number"))?;
                self.recall(key)?;
            }
            b'h' | b'j' => {
                let key = self.number(if code == b'h' { 1 } else { 4 })?;
                self.recall(key)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push_node(Node::Global(format!("{module}.{name}")))?;
            }
            0x93 => {
                let parts = self.popped(2)?;
                let [Some(Node::Text(module)), Some(Node::Text(name))] = [self.node(parts[0]), self.node(parts[1])]
                else {
                    return Err(damaged("a class without a name"));
                };
                let global = Node::Global(format!("{module}.{name}"));
                self.push_node(global)?;
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = self.storage(id)?;
                self.push_node(Node::Storage(Box::new(storage)))?;
            }
            b'R' | 0x81 => {
                let parts = self.popped(2)?;
                self.call(parts[0], parts[1])?;
            }
            b'b' => {
                self.pop()?;
                // The state of a dict is its `_metadata`, of a harmless object nothing that is needed.
                let built = self.top()?;
                if !matches!(self.node(built), Some(Node::Dict(_) | Node::Opaque | Node::Tensor(_))) {
                    return Err(damaged("the state of an object that cannot have one"));
                }
            }
            b'i' => {
                let name = format!("{}.{}", self.line()?, self.line()?);
                return Err(refused(&name));
            }
            b'o' | 0x92 => return Err(refused("an object of a class")),
            _ => return Err(damaged(format!("an instruction of code {code} at byte {}", self.at - 1))),
        }
        Ok(())
    }

    /// `function(*arguments)`, for the few functions that are known; none is run.
    fn call(&mut self, function: Value, arguments: Value) -> Result<()> {
        let Some(Node::Global(name)) = self.node(function) else {
            return Err(damaged("a call of what is not a function"));
        };
        let name = name.clone();
        let Some(Node::Tuple(arguments)) = self.node(arguments) else {
            return Err(damaged(format!("a call of {name} without arguments")));
        };
        let arguments = arguments.clone();
        let first = arguments.first().copied();
        match name.as_str() {
            "collections.OrderedDict" | "builtins.dict" | "collections.defaultdict" => {
                let mut pairs = Vec::new();
                if let Some(Node::List(list)) = first.and_then(|list| self.node(list)) {
                    for &pair in list {
                        match self.node(pair) {
                            Some(Node::Tuple(pair) | Node::List(pair)) if pair.len() == 2 => {
                                pairs.push((pair[0], pair[1]));
                            }
                            _ => return Err(damaged("a dict of what are not pairs")),
                        }
                    }
                }
                self.push_node(Node::Dict(pairs))
            }
            "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor" => {
                let view = self.view(&arguments)?;
                self.push_node(Node::Tensor(Box::new(view)))
            }
            "torch._utils._rebuild_parameter"
            | "torch._utils._rebuild_parameter_with_state"
            | "torch.nn.parameter.Parameter" => match first.map(|tensor| (tensor, self.node(tensor))) {
                Some((tensor, Some(Node::Tensor(_)))) => self.push(tensor),
                _ => Err(damaged("a parameter without a tensor")),
            },
            "torch._tensor._rebuild_from_type_v2" if arguments.len() >= 3 => self.call(arguments[0], arguments[2]),
            _ if HARMLESS.contains(&name.as_str()) => self.push_node(Node::Opaque),
            _ if name.starts_with("torch.nn.modules.") || name.starts_with("torch.jit.") => Err(Error::malformed(
                "the pickle",
                format!(
                    "it holds a whole module ({name}), which only Python code can rebuild; save the weights with \
                     torch.save(model.state_dict(), \"model.pt\")"
                ),
            )),
            "torch._utils._rebuild_qtensor" => Err(Error::unsupported("the pickle", "a quantized tensor")),
            "torch._utils._rebuild_sparse_tensor" => Err(Error::unsupported("the pickle", "a sparse tensor")),
            _ => Err(refused(&name)),
        }
    }

    /// `(storage, offset, size, stride, ..)`.
    fn view(&self, arguments: &[Value]) -> Result<View> {
        let wrong = || damaged("a tensor without storage, offset, size and stride");
        let &[storage, offset, size, stride, ..] = arguments else { return Err(wrong()) };
        let sizes = |value: Value| match self.node(value) {
            Some(Node::Tuple(list) | Node::List(list)) => list.iter().map(|&value| whole(value)).collect(),
            _ => None,
        };
        let (Some(Node::Storage(storage)), Some(offset)) = (self.node(storage), whole(offset)) else {
            return Err(wrong());
        };
        let (dims, strides): (Vec<usize>, Vec<usize>) = sizes(size).zip(sizes(stride)).ok_or_else(wrong)?;
        if dims.len() != strides.len() || dims.len() > 16 {
            return Err(damaged(format!("a tensor with {} sizes and {} strides", dims.len(), strides.len())));
        }
        Ok(View { storage: (**storage).clone(), offset, dims, strides })
    }

    /// `("storage", type, key, device, elements[, view])`.
    fn storage(&self, id: Value) -> Result<Storage> {
        let wrong = || damaged("a storage without type, key and size");
        let Some(Node::Tuple(parts)) = self.node(id) else { return Err(wrong()) };
        let &[kind, class, key, _, len, ref view @ ..] = parts.as_slice() else { return Err(wrong()) };
        match self.node(kind) {
            Some(Node::Text(kind)) if kind == "storage" => {}
            _ => return Err(wrong()),
        }
        let (Some(Node::Global(class)), Some(Node::Text(key)), Some(len)) =
            (self.node(class), self.node(key), whole(len))
        else {
            return Err(wrong());
        };
        let name = class.rsplit('.').next().unwrap_or(class);
        let dtype = match name {
            "FloatStorage" => Dtype::F32,
            "DoubleStorage" => Dtype::F64,
            "HalfStorage" => Dtype::F16,
            "BFloat16Storage" => Dtype::Bf16,
            "LongStorage" => Dtype::I64,
            "IntStorage" => Dtype::I32,
            "ShortStorage" => Dtype::I16,
            "CharStorage" => Dtype::I8,
            "ByteStorage" => Dtype::U8,
            "BoolStorage" => Dtype::Bool,
            _ => return Err(Error::unsupported(format!("storage {key}"), class.clone())),
        };
        let offset = match view.first().and_then(|&view| self.node(view)) {
            Some(Node::Tuple(view)) => view.get(1).copied().and_then(whole).ok_or_else(wrong)?,
            _ => 0,
        };
        Ok(Storage { key: key.clone(), dtype, len, offset })
    }
}

fn whole(value: Value) -> Option<usize> {
    match value {
        Value::Int(value) => usize::try_from(value).ok(),
        _ => None,
    }
}

/// A little-endian two's complement number; `None` beyond i64, but for the magic number of legacy files.
fn long(bytes: &[u8]) -> Value {
    if bytes.len() > 8 {
        return Value::None;
    }
    let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
    let filled = |at: usize| bytes.get(at).copied().unwrap_or(if negative { 0xff } else { 0 });
    Value::Int(i64::from_le_bytes(std::array::from_fn(filled)))
}

fn refused(name: &str) -> Error {
    Error::malformed(
        "the pickle",
        format!(
            "it asks to call {name}, which is not part of a state dict; nothing was run; save the weights with \
             torch.save(model.state_dict(), \"model.pt\")"
        ),
    )
}
