//! Attributes of a node, each read once; those nobody reads are refused.

use std::collections::BTreeSet;

use super::proto::{Attribute, NodeProto};
use crate::error::{Error, Result};

pub(super) struct Attributes<'a, 'p> {
    node: &'a NodeProto<'p>,
    /// For messages.
    pub(super) part: String,
    read: BTreeSet<&'static str>,
}

impl<'a, 'p> Attributes<'a, 'p> {
    pub(super) fn new(node: &'a NodeProto<'p>, part: String) -> Result<Self> {
        let mut seen = BTreeSet::new();
        for attribute in &node.attributes {
            if !seen.insert(attribute.name) {
                return Err(Error::malformed(&part, format!("attribute {} is there twice", attribute.name)));
            }
            if attribute.other {
                return Err(Error::unsupported(&part, format!("the kind of attribute {}", attribute.name)));
            }
        }
        Ok(Attributes { node, part, read: BTreeSet::new() })
    }

    fn find(&mut self, name: &'static str) -> Option<&'a Attribute<'p>> {
        self.read.insert(name);
        self.node.attributes.iter().find(|a| a.name == name)
    }

    fn wrong(&self, name: &str) -> Error {
        Error::malformed(&self.part, format!("attribute {name} is of the wrong kind"))
    }

    /// Marks an attribute as one that changes no number.
    pub(super) fn ignore(&mut self, name: &'static str) {
        self.read.insert(name);
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.node.attributes.iter().any(|a| a.name == name)
    }

    pub(super) fn int(&mut self, name: &'static str) -> Result<Option<i64>> {
        match self.find(name) {
            // A number that is the default of the format, 0, may be left out of the file.
            Some(a) if a.int.is_some() || (a.float.is_none() && a.text.is_none() && a.ints.is_empty()) => {
                Ok(Some(a.int.unwrap_or(0)))
            }
            Some(_) => Err(self.wrong(name)),
            None => Ok(None),
        }
    }

    pub(super) fn int_or(&mut self, name: &'static str, default: i64) -> Result<i64> {
        Ok(self.int(name)?.unwrap_or(default))
    }

    /// 0 or 1.
    pub(super) fn flag(&mut self, name: &'static str, default: bool) -> Result<bool> {
        match self.int_or(name, default.into())? {
            0 => Ok(false),
            1 => Ok(true),
            n => Err(Error::unsupported(&self.part, format!("{name} {n}"))),
        }
    }

    pub(super) fn float(&mut self, name: &'static str) -> Result<Option<f32>> {
        match self.find(name) {
            Some(a) if a.float.is_some() || (a.int.is_none() && a.text.is_none()) => Ok(Some(a.float.unwrap_or(0.0))),
            Some(_) => Err(self.wrong(name)),
            None => Ok(None),
        }
    }

    pub(super) fn float_or(&mut self, name: &'static str, default: f32) -> Result<f32> {
        Ok(self.float(name)?.unwrap_or(default))
    }

    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<&'p str>> {
        let text = self.find(name).map(|a| a.text.unwrap_or_default());
        text.map(|t| std::str::from_utf8(t).map_err(|_| self.wrong(name))).transpose()
    }

    pub(super) fn texts(&mut self, name: &'static str) -> Result<Option<Vec<&'p str>>> {
        let Some(attribute) = self.find(name) else { return Ok(None) };
        let texts = attribute.texts.iter().map(|t| std::str::from_utf8(t).map_err(|_| self.wrong(name)));
        texts.collect::<Result<_>>().map(Some)
    }

    pub(super) fn ints(&mut self, name: &'static str) -> Option<&'a [i64]> {
        self.find(name).map(|a| &a.ints[..])
    }

    /// Sizes: not negative.
    pub(super) fn sizes(&mut self, name: &'static str) -> Result<Option<Vec<usize>>> {
        let size = |n: &i64| usize::try_from(*n).ok().filter(|n| *n <= 1 << 40);
        match self.ints(name) {
            Some(list) => list
                .iter()
                .map(size)
                .collect::<Option<_>>()
                .map(Some)
                .ok_or_else(|| Error::malformed(&self.part, format!("{name} {list:?}"))),
            None => Ok(None),
        }
    }

    pub(super) fn floats(&mut self, name: &'static str) -> Option<&'a [f32]> {
        self.find(name).map(|a| &a.floats[..])
    }

    pub(super) fn tensor(&mut self, name: &'static str) -> Option<&'p [u8]> {
        self.find(name).and_then(|a| a.tensor)
    }

    pub(super) fn graph(&mut self, name: &'static str) -> Result<&'p [u8]> {
        let graph = self.find(name).and_then(|a| a.graph);
        graph.ok_or_else(|| Error::malformed(&self.part, format!("it has no {name}")))
    }

    /// Refuses what nobody asked for: it may change the numbers.
    pub(super) fn finish(&self) -> Result<()> {
        match self.node.attributes.iter().find(|a| !self.read.contains(a.name)) {
            Some(a) => Err(Error::unsupported(&self.part, format!("attribute {}", a.name))),
            None => Ok(()),
        }
    }
}
