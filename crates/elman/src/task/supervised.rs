//! What the tasks share that are told the target of each example: a plan, a model, batches, measures.

mod baseline;
mod batches;
mod examples;
mod goal;
mod length;
mod model;
mod plan;
mod reading;

pub(super) use baseline::{Survey, WIDTH, grid, pooled, survey};
pub(super) use examples::Examples;
pub(super) use goal::{Goal, Learned, Placed};
pub(super) use length::{FEW, Length};
pub(super) use model::SupervisedModel;
pub(super) use plan::{Parts, SupervisedPlan, augmentation, divided};
pub(super) use reading::{Named, Reading, one_piece};
