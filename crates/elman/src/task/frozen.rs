//! Layers that a run leaves as they are: the setting `freeze`.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::param::Layout;
use crate::settings::{Settings, Whether};

/// The ranges of the weights that stay as they are, and a word on them.
///
/// # Errors
/// [`Error::Setting`] for a layer that is not there, with those that are; if nothing is left to train.
pub(super) fn frozen(settings: &Settings, layout: &Layout) -> Result<(Vec<Range<usize>>, Option<String>)> {
    let asked = settings.freeze.split(',').map(str::trim).filter(|name| !name.is_empty());
    let mut ranges = Vec::new();
    for name in asked {
        let inside = format!("{name}.");
        let is_of = |tensor: &str, layer: &str| tensor == name || layer == name || layer.starts_with(&inside);
        let before = ranges.len();
        let found = layout.tensors().iter().filter(|tensor| is_of(&tensor.name, &tensor.layer()));
        ranges.extend(found.map(|tensor| tensor.slot.range()));
        if ranges.len() == before {
            let mut layers: Vec<String> = layout.tensors().iter().map(|tensor| tensor.layer()).collect();
            layers.dedup();
            let why = format!("there is no layer {name:?}; its layers are {}", layers.join(", "));
            return Err(Error::setting("freeze", &settings.freeze, why));
        }
    }
    if ranges.is_empty() {
        return Ok((ranges, None));
    }
    ranges.sort_by_key(|range| range.start);
    ranges.dedup();
    let weights: usize = ranges.iter().map(Range::len).sum();
    if weights == layout.len() {
        return Err(Error::setting("freeze", &settings.freeze, "are all layers: nothing would be trained"));
    }
    let again = if settings.refit == Whether::Yes { ", in both trainings" } else { "" };
    let note = format!("{} stays as it is: {weights} of {} weights{again}", settings.freeze, layout.len());
    Ok((ranges, Some(note)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_frozen_by_their_names_and_others_are_refused_with_the_list() {
        let mut layout = Layout::new();
        for name in
            ["embedding.weight", "rnn.weight_ih_l0", "rnn.weight_ih_l0_reverse", "rnn.bias_hh_l1", "output.bias"]
        {
            layout.add(name, &[2]);
        }
        let of = |freeze: &str| {
            let settings = Settings { freeze: freeze.into(), ..Settings::base() };
            frozen(&settings, &layout).map(|(ranges, _)| ranges).map_err(|error| error.to_string())
        };
        assert_eq!(of(""), Ok(vec![]));
        assert_eq!(of("rnn.0, embedding"), Ok(vec![0..2, 2..4, 4..6]));
        assert_eq!(of("rnn"), Ok(vec![2..4, 4..6, 6..8]));
        assert_eq!(of("rnn.bias_hh_l1,rnn.1"), Ok(std::iter::once(6..8).collect()));
        let unknown = of("rnn.0,rnn.7").unwrap_err();
        assert!(unknown.contains("\"rnn.7\"") && unknown.ends_with("embedding, rnn.0, rnn.1, output"), "{unknown}");
        assert!(of("embedding,rnn,output").unwrap_err().contains("nothing would be trained"));
    }
}
