//! The messages of ONNX that a network needs, borrowed from the file. Field numbers are those of `onnx.proto`.

use super::wire::{Field, Fields};
use crate::error::{Error, Result};
use crate::graph::Dim;
use crate::tensor::{Dtype, Tensor, Values, count};
use std::sync::Arc;

/// Nodes, names, attributes and tensors of a file, all counted together. The largest model met has 20,000.
const MOST: usize = 300_000;

/// What is left of [`MOST`].
pub(super) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Budget(MOST)
    }
}

impl Budget {
    fn spend(&mut self) -> Result<()> {
        self.0 = self.0.checked_sub(1).ok_or_else(|| Error::TooLarge {
            part: "the graph".into(),
            size: "too many nodes, names and tensors".into(),
            most: MOST.to_string(),
        })?;
        Ok(())
    }
}

/// ModelProto.
#[derive(Default)]
pub(super) struct Model<'a> {
    pub(super) ir_version: u64,
    pub(super) producer: &'a str,
    pub(super) producer_version: &'a str,
    pub(super) graph: Option<&'a [u8]>,
    /// Domains and versions.
    pub(super) opsets: Vec<(&'a str, i64)>,
    pub(super) functions: usize,
}

impl<'a> Model<'a> {
    pub(super) fn parse(bytes: &'a [u8], budget: &mut Budget) -> Result<Self> {
        let mut model = Model::default();
        let mut fields = Fields::new("the model", bytes);
        while let Some((number, field)) = fields.next()? {
            match number {
                1 => model.ir_version = field.number()?,
                2 => model.producer = field.text()?,
                3 => model.producer_version = field.text()?,
                7 if model.graph.is_some() => return Err(Error::malformed("the model", "it has two graphs")),
                7 => model.graph = Some(field.bytes()?),
                8 => {
                    budget.spend()?;
                    let (mut domain, mut version) = ("", 1);
                    let mut opset = Fields::new("opset_import", field.bytes()?);
                    while let Some((number, field)) = opset.next()? {
                        match number {
                            1 => domain = field.text()?,
                            2 => version = field.number()? as i64,
                            _ => {}
                        }
                    }
                    model.opsets.push((domain, version));
                }
                25 => model.functions += 1,
                _ => {}
            }
        }
        Ok(model)
    }
}

/// GraphProto.
#[derive(Default)]
pub(super) struct GraphProto<'a> {
    pub(super) name: &'a str,
    pub(super) nodes: Vec<NodeProto<'a>>,
    pub(super) initializers: Vec<TensorProto<'a>>,
    pub(super) sparse: usize,
    pub(super) inputs: Vec<ValueInfo<'a>>,
    pub(super) outputs: Vec<ValueInfo<'a>>,
}

impl<'a> GraphProto<'a> {
    pub(super) fn parse(bytes: &'a [u8], budget: &mut Budget) -> Result<Self> {
        let mut graph = GraphProto::default();
        let mut fields = Fields::new("a graph", bytes);
        while let Some((number, field)) = fields.next()? {
            match number {
                1 => graph.nodes.push(NodeProto::parse(field.bytes()?, budget)?),
                2 => graph.name = field.text()?,
                5 => graph.initializers.push(TensorProto::parse(field.bytes()?, budget)?),
                11 => graph.inputs.push(ValueInfo::parse(field.bytes()?, budget)?),
                12 => graph.outputs.push(ValueInfo::parse(field.bytes()?, budget)?),
                15 => graph.sparse += 1,
                _ => {}
            }
        }
        Ok(graph)
    }
}

/// NodeProto.
#[derive(Default)]
pub(super) struct NodeProto<'a> {
    pub(super) inputs: Vec<&'a str>,
    pub(super) outputs: Vec<&'a str>,
    pub(super) name: &'a str,
    pub(super) op: &'a str,
    pub(super) domain: &'a str,
    pub(super) attributes: Vec<Attribute<'a>>,
}

impl<'a> NodeProto<'a> {
    fn parse(bytes: &'a [u8], budget: &mut Budget) -> Result<Self> {
        budget.spend()?;
        let mut node = NodeProto::default();
        let mut fields = Fields::new("a node", bytes);
        while let Some((number, field)) = fields.next()? {
            match number {
                1 => {
                    budget.spend()?;
                    node.inputs.push(field.text()?);
                }
                2 => {
                    budget.spend()?;
                    node.outputs.push(field.text()?);
                }
                3 => node.name = field.text()?,
                4 => node.op = field.text()?,
                5 => node.attributes.push(Attribute::parse(field.bytes()?, budget)?),
                7 => node.domain = field.text()?,
                _ => {}
            }
        }
        Ok(node)
    }
}

/// AttributeProto.
#[derive(Default, Clone)]
pub(super) struct Attribute<'a> {
    pub(super) name: &'a str,
    pub(super) float: Option<f32>,
    pub(super) int: Option<i64>,
    pub(super) text: Option<&'a [u8]>,
    pub(super) tensor: Option<&'a [u8]>,
    pub(super) graph: Option<&'a [u8]>,
    pub(super) floats: Vec<f32>,
    pub(super) ints: Vec<i64>,
    pub(super) texts: Vec<&'a [u8]>,
    /// A kind that is not read: a reference, sparse or typed values, lists of graphs or tensors.
    pub(super) other: bool,
}

impl<'a> Attribute<'a> {
    fn parse(bytes: &'a [u8], budget: &mut Budget) -> Result<Self> {
        budget.spend()?;
        let mut attribute = Attribute::default();
        let mut fields = Fields::new("an attribute", bytes);
        let float = |bits: u32| f32::from_bits(bits);
        while let Some((number, field)) = fields.next()? {
            match (number, field) {
                (1, _) => attribute.name = field.text()?,
                (2, Field::Fixed32(bits)) => attribute.float = Some(float(bits)),
                (3, _) => attribute.int = Some(field.number()? as i64),
                (4, _) => attribute.text = Some(field.bytes()?),
                (5, _) => attribute.tensor = Some(field.bytes()?),
                (6, _) => attribute.graph = Some(field.bytes()?),
                (7, Field::Fixed32(bits)) => {
                    budget.spend()?;
                    attribute.floats.push(float(bits));
                }
                (7, Field::Bytes(packed)) => {
                    for bits in packed.as_chunks::<4>().0 {
                        budget.spend()?;
                        attribute.floats.push(f32::from_le_bytes(*bits));
                    }
                }
                (8, Field::Number(n)) => {
                    budget.spend()?;
                    attribute.ints.push(n as i64);
                }
                (8, Field::Bytes(packed)) => {
                    for n in Fields::numbers(packed) {
                        budget.spend()?;
                        attribute.ints.push(n? as i64);
                    }
                }
                (9, _) => {
                    budget.spend()?;
                    attribute.texts.push(field.bytes()?);
                }
                // 20 is the type, 13 a comment.
                (13 | 20, _) => {}
                _ => attribute.other = true,
            }
        }
        Ok(attribute)
    }
}

/// ValueInfoProto.
#[derive(Default)]
pub(super) struct ValueInfo<'a> {
    pub(super) name: &'a str,
    /// Number of the element type; `None` of values that are no tensors.
    pub(super) dtype: Option<u64>,
    pub(super) dims: Option<Vec<Dim>>,
}

impl<'a> ValueInfo<'a> {
    fn parse(bytes: &'a [u8], budget: &mut Budget) -> Result<Self> {
        budget.spend()?;
        let mut info = ValueInfo::default();
        let mut fields = Fields::new("an input or output", bytes);
        while let Some((number, field)) = fields.next()? {
            match number {
                1 => info.name = field.text()?,
                2 => {
                    let mut kind = Fields::new("a type", field.bytes()?);
                    while let Some((number, field)) = kind.next()? {
                        if number == 1 {
                            info.tensor_type(field.bytes()?, budget)?;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(info)
    }

    fn tensor_type(&mut self, bytes: &'a [u8], budget: &mut Budget) -> Result<()> {
        let mut fields = Fields::new("a type", bytes);
        while let Some((number, field)) = fields.next()? {
            match number {
                1 => self.dtype = Some(field.number()?),
                2 => {
                    let mut dims = Vec::new();
                    let mut shape = Fields::new("a shape", field.bytes()?);
                    while let Some((number, field)) = shape.next()? {
                        if number != 1 {
                            continue;
                        }
                        budget.spend()?;
                        let mut dim = Dim::Named(String::new());
                        let mut one = Fields::new("a dimension", field.bytes()?);
                        while let Some((number, field)) = one.next()? {
                            match (number, field) {
                                // 0 and -1 are written for sizes that are not known.
                                (1, Field::Number(n)) if (n as i64) > 0 => dim = Dim::Fixed(n as usize),
                                (2, _) => dim = Dim::Named(field.text()?.into()),
                                _ => {}
                            }
                        }
                        dims.push(dim);
                    }
                    self.dims = Some(dims);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Element type by its number in ONNX.
pub(super) fn dtype(part: &str, number: u64) -> Result<Dtype> {
    Ok(match number {
        1 => Dtype::F32,
        2 => Dtype::U8,
        3 => Dtype::I8,
        4 => Dtype::U16,
        5 => Dtype::I16,
        6 => Dtype::I32,
        7 => Dtype::I64,
        9 => Dtype::Bool,
        10 => Dtype::F16,
        11 => Dtype::F64,
        12 => Dtype::U32,
        13 => Dtype::U64,
        16 => Dtype::Bf16,
        8 => return Err(Error::unsupported(part, "text as elements")),
        n => return Err(Error::unsupported(part, format!("element type {n}"))),
    })
}

/// The number of an element type in ONNX.
pub(super) fn dtype_number(dtype: Dtype) -> i64 {
    match dtype {
        Dtype::F32 => 1,
        Dtype::U8 => 2,
        Dtype::I8 => 3,
        Dtype::U16 => 4,
        Dtype::I16 => 5,
        Dtype::I32 => 6,
        Dtype::I64 => 7,
        Dtype::Bool => 9,
        Dtype::F16 => 10,
        Dtype::F64 => 11,
        Dtype::U32 => 12,
        Dtype::U64 => 13,
        Dtype::Bf16 => 16,
    }
}

/// TensorProto.
#[derive(Default)]
pub(super) struct TensorProto<'a> {
    pub(super) name: &'a str,
    dims: Vec<u64>,
    dtype: u64,
    raw: Option<&'a [u8]>,
    /// Typed values by field number: packed, or one.
    typed: Vec<(u64, Field<'a>)>,
    /// Keys and values that say where another file has the data.
    pub(super) external: Vec<(&'a str, &'a str)>,
    pub(super) is_external: bool,
}

impl<'a> TensorProto<'a> {
    pub(super) fn parse(bytes: &'a [u8], budget: &mut Budget) -> Result<Self> {
        budget.spend()?;
        let mut tensor = TensorProto::default();
        let mut fields = Fields::new("a tensor", bytes);
        while let Some((number, field)) = fields.next()? {
            match (number, field) {
                (1, Field::Number(n)) => {
                    budget.spend()?;
                    tensor.dims.push(n);
                }
                (1, Field::Bytes(packed)) => {
                    for n in Fields::numbers(packed) {
                        budget.spend()?;
                        tensor.dims.push(n?);
                    }
                }
                (2, _) => tensor.dtype = field.number()?,
                (3, _) => return Err(Error::unsupported("a tensor", "a segment of a tensor")),
                (4 | 5 | 7 | 10 | 11, _) => {
                    if !matches!(field, Field::Bytes(_)) {
                        budget.spend()?;
                    }
                    tensor.typed.push((number, field));
                }
                (8, _) => tensor.name = field.text()?,
                (9, _) => tensor.raw = Some(field.bytes()?),
                (13, _) => {
                    budget.spend()?;
                    let (mut key, mut value) = ("", "");
                    let mut entry = Fields::new("external data", field.bytes()?);
                    while let Some((number, field)) = entry.next()? {
                        match number {
                            1 => key = field.text()?,
                            2 => value = field.text()?,
                            _ => {}
                        }
                    }
                    tensor.external.push((key, value));
                }
                (14, _) => tensor.is_external = field.number()? == 1,
                _ => {}
            }
        }
        Ok(tensor)
    }

    /// For messages.
    fn part(&self) -> String {
        if self.name.is_empty() { "a tensor".into() } else { self.name.into() }
    }

    /// Element type and dimensions.
    pub(super) fn form(&self) -> Result<(Dtype, Vec<usize>)> {
        let part = self.part();
        if self.dims.len() > 32 {
            return Err(Error::malformed(part, format!("{} dimensions", self.dims.len())));
        }
        let size = |d: &u64| {
            usize::try_from(*d)
                .ok()
                .filter(|d| *d <= isize::MAX as usize)
                .ok_or_else(|| Error::malformed(&part, format!("a dimension of {}", *d as i64)))
        };
        Ok((dtype(&part, self.dtype)?, self.dims.iter().map(size).collect::<Result<_>>()?))
    }

    /// The tensor, from the data in the file, or from `external` data.
    pub(super) fn tensor(&self, external: Option<&[u8]>) -> Result<Tensor> {
        let part = self.part();
        let (dtype, dims) = self.form()?;
        let n = count(&dims).map_err(|_| Error::malformed(&part, format!("{dims:?} is more than memory holds")))?;
        if let Some(raw) = external.or(self.raw) {
            if n.checked_mul(dtype.bytes()) != Some(raw.len()) {
                let reason = format!("{dims:?} of {dtype}, but {} bytes of data", raw.len());
                return Err(Error::malformed(part, reason));
            }
            return Tensor::from_le_bytes(dtype, dims, raw);
        }
        let wanted = match dtype {
            Dtype::F32 => 4,
            Dtype::F64 => 10,
            Dtype::I64 => 7,
            Dtype::U64 | Dtype::U32 => 11,
            // float16 by its bits.
            _ => 5,
        };
        // A number takes at least one byte: so many are there at most.
        let room: usize = self.typed.iter().map(|(_, f)| if let Field::Bytes(b) = f { b.len() } else { 8 }).sum();
        let wrong = |got: usize| Error::malformed(&part, format!("{dims:?} of {dtype}, but {got} values"));
        if n > room {
            return Err(wrong(room));
        }
        let mut bits: Vec<u64> = Vec::with_capacity(n);
        for (number, field) in &self.typed {
            if *number != wanted {
                return Err(Error::malformed(&part, format!("values of another type than {dtype}")));
            }
            match field {
                Field::Number(x) => bits.push(*x),
                Field::Fixed32(x) => bits.push((*x).into()),
                Field::Fixed64(x) => bits.push(*x),
                Field::Bytes(b) if wanted == 4 => {
                    bits.extend(b.as_chunks::<4>().0.iter().map(|b| u64::from(u32::from_le_bytes(*b))));
                }
                Field::Bytes(b) if wanted == 10 => {
                    bits.extend(b.as_chunks::<8>().0.iter().map(|b| u64::from_le_bytes(*b)))
                }
                Field::Bytes(b) => {
                    for x in Fields::numbers(b).take(n + 1) {
                        bits.push(x?);
                    }
                }
            }
            if bits.len() > n {
                return Err(wrong(bits.len()));
            }
        }
        if bits.len() != n {
            return Err(wrong(bits.len()));
        }
        let each = bits.into_iter();
        let values = match dtype {
            Dtype::F32 => Values::F32(Arc::new(each.map(|b| f32::from_bits(b as u32)).collect())),
            Dtype::F64 => Values::F64(Arc::new(each.map(f64::from_bits).collect())),
            Dtype::F16 => Values::F32(Arc::new(each.map(|b| crate::tensor::f16_to_f32(b as u16)).collect())),
            Dtype::Bf16 => Values::F32(Arc::new(each.map(|b| crate::tensor::bf16_to_f32(b as u16)).collect())),
            Dtype::Bool => Values::Bool(Arc::new(each.map(|b| b != 0).collect())),
            _ => Values::I64(Arc::new(each.map(|b| b as i64).collect())),
        };
        Tensor::new(dtype, dims, values)
    }
}
