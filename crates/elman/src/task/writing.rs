//! What the tasks that write share: translations and captions differ in what they read, in their network and in their
//! measures; batches, search, models and ensembles are the same.

mod member;
mod model;
mod network;
mod plan;
mod training;
mod work;
mod writer;

pub(super) use self::model::open;
pub(super) use self::network::Network;
pub(super) use self::plan::{decoder, plan, tokenizer};
pub(super) use self::work::{Asked, Batch, Corpus, Given, Model, Pairs, Writing};
pub(super) use crate::data::captions::Example;
pub(super) use crate::data::tokenizer::{MAX_SOURCE, Tokenizer};

#[cfg(test)]
mod tests;
