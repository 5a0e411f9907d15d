//! The ranges that values of settings must lie in: each check gives the requirement that is not met.

use crate::data::MAX_LOOKAHEAD;
use crate::train::MAX_THREADS;

/// Checks a value.
pub(super) type Check<T> = fn(&T) -> Option<&'static str>;

/// Largest size of a layer or a batch.
const MAX_SIZE: usize = 1 << 20;

fn unless(is_valid: bool, requirement: &'static str) -> Option<&'static str> {
    (!is_valid).then_some(requirement)
}

pub(super) fn size(value: &usize) -> Option<&'static str> {
    unless((1..=MAX_SIZE).contains(value), if *value == 0 { "must be at least 1" } else { "must be at most 1048576" })
}

/// A size that may be 0.
pub(super) fn size_or_none(value: &usize) -> Option<&'static str> {
    unless(*value <= MAX_SIZE, "must be at most 1048576")
}

pub(super) fn lookahead(value: &usize) -> Option<&'static str> {
    const { assert!(MAX_LOOKAHEAD == 1000) };
    unless(*value <= MAX_LOOKAHEAD, "must be at most 1000")
}

pub(super) fn threads(value: &usize) -> Option<&'static str> {
    const { assert!(MAX_THREADS == 1024) };
    unless(*value <= MAX_THREADS, "must be at most 1024; 0 is one per core")
}

pub(super) fn count<T: PartialEq + From<u8>>(value: &T) -> Option<&'static str> {
    unless(*value != T::from(0), "must be at least 1")
}

pub(super) fn positive(value: &f64) -> Option<&'static str> {
    unless(*value > 0.0 && value.is_finite(), "must be a number above 0, such as 0.002")
}

pub(super) fn finite(value: &f64) -> Option<&'static str> {
    unless(value.is_finite(), "must be a number")
}

pub(super) fn probability(value: &f64) -> Option<&'static str> {
    unless((0.0..1.0).contains(value), "must be in [0, 1)")
}

pub(super) fn share(value: &f64) -> Option<&'static str> {
    unless(*value > 0.0 && *value < 1.0, "must be above 0 and below 1, such as 0.1")
}

pub(super) fn from_zero(value: &f64) -> Option<&'static str> {
    unless(*value >= 0.0 && value.is_finite(), "must be a number from 0 (off) upwards")
}

#[expect(clippy::ptr_arg, reason = "a check takes a reference to the type of its setting")]
pub(super) fn header(value: &String) -> Option<&'static str> {
    unless(["auto", "yes", "no"].contains(&value.as_str()), "must be auto, yes or no")
}

#[expect(clippy::ptr_arg, reason = "a check takes a reference to the type of its setting")]
pub(super) fn encoding(value: &String) -> Option<&'static str> {
    let want = "is no encoding that is known; names are such as utf-8, utf-16le, cp949, shift_jis, gb18030 and cp1252";
    unless(crate::file::Encoding::named(value).is_ok(), want)
}

pub(super) fn rules(value: &u64) -> Option<&'static str> {
    unless((1..=2).contains(value), "must be 1 or 2")
}
