//! What a simple rule writes: the caption of the most similar image (Devlin et al. 2015, "Exploring Nearest Neighbor Approaches
//! for Image Captioning").

use std::collections::BTreeMap;

use elman_kernels::{Mat, MatMut, Start, gemm_rows};

use crate::data::Matrix;
use crate::error::Result;
use crate::task::writing::{Corpus, Writing};

/// Products that comparisons may take; of more training images some are compared, evenly spaced.
const WORK: usize = 4_000_000_000;
/// Images that are compared with all others at a time.
const ROWS: usize = 8;

/// For images, which are rows of the features, the first caption of the training image whose features, their mean over all positions,
/// have the largest cosine with theirs.
///
/// # Errors
/// If a caption's tokens are not those of the tokenizer.
pub(super) fn captions<W: Writing<Sources = Matrix>>(corpus: &Corpus<W>, images: &[usize]) -> Result<Vec<String>> {
    let Corpus { sources, train, tokenizer, .. } = corpus;
    let width = sources.width();
    let mut first = BTreeMap::new();
    for (row, tokens) in train {
        first.entry(*row).or_insert(tokens);
    }
    let first: Vec<(usize, &Vec<u32>)> = first.into_iter().collect();
    let most = (WORK / (images.len() * width).max(1)).max(1).min(first.len());
    if most == 0 {
        return Ok(vec![String::new(); images.len()]);
    }
    let kept: Vec<(usize, &Vec<u32>)> = (0..most).map(|i| first[i * first.len() / most]).collect();
    let directions =
        |rows: &mut dyn Iterator<Item = usize>| -> Vec<f32> { rows.flat_map(|row| direction(sources, row)).collect() };
    let all = directions(&mut kept.iter().map(|(row, _)| *row));
    let mut found = Vec::with_capacity(images.len());
    let mut cosines = vec![0.0; ROWS * most];
    for some in images.chunks(ROWS) {
        let asked = directions(&mut some.iter().copied());
        let cosines = &mut cosines[..some.len() * most];
        let (asked, of) = (Mat::new(&asked, some.len(), width), Mat::new(&all, most, width));
        gemm_rows(asked, of, MatMut::new(cosines, some.len(), most), Start::Zero);
        for of_one in cosines.chunks(most) {
            let nearest = (0..most).rev().max_by(|a, b| of_one[*a].total_cmp(&of_one[*b]));
            let tokens = nearest.and_then(|nearest| kept.get(nearest));
            found.push(tokens.map_or(Ok(String::new()), |(_, tokens)| tokenizer.subwords.decode(tokens))?);
        }
    }
    Ok(found)
}

/// The mean over the positions of a row `[P, C]`, of length 1.
fn direction(features: &Matrix, row: usize) -> Vec<f32> {
    let mut sum = vec![0.0; features.width()];
    for position in features.row(row).chunks(sum.len()) {
        sum.iter_mut().zip(position).for_each(|(sum, x)| *sum += x);
    }
    // Of features that are all 0 it stays 0: they are like no others.
    let length = sum.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    sum.iter_mut().for_each(|x| *x /= length);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::captions::Example;
    use crate::settings::Data;
    use crate::task::caption::{corpus, defaults};

    #[test]
    fn the_first_caption_of_the_image_that_points_the_same_way_is_written() {
        // Two positions of two numbers each; the last two rows are to be captioned, that before them is like none.
        let rows: [[f32; 4]; 6] = [
            [1.0, 0.0, 1.0, 0.0],
            [0.0, 1.0, 0.0, 1.0],
            [1.0, 0.0, 0.0, 1.0],
            [0.0; 4],
            [0.0, 9.0, 1.0, 9.0],
            [5.0, 1.0, 1.0, 5.0],
        ];
        let features = Matrix { dims: vec![6, 2, 2], values: rows.concat() };
        let captions = [&["a dog", "the dog"][..], &["a cat"], &["a dog and a cat"], &["a cat and a dog"]];
        let example = |(source, texts): (usize, &&[&str])| {
            let targets = texts.iter().map(|text| text.to_string()).collect();
            Example { name: format!("row {source}"), source, targets }
        };
        let train: Vec<Example> = captions.iter().enumerate().map(example).collect();
        let settings = crate::settings::Settings { vocab_min: 1, ..defaults(Data::Builtin) };
        let corpus = corpus(None, features, [train, Vec::new()], &settings).unwrap();
        let found = super::captions(&corpus, &[4, 5, 0]).unwrap();
        assert_eq!(found, ["a cat", "a dog and a cat", "a dog"]);
    }
}
