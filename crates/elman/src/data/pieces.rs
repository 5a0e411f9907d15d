//! Pieces of text for language models: words with the blank before them, or parts of words that come often. Joined, the pieces
//! of a text are that text.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet};

use unicode_normalization::char::is_combining_mark;

/// Pieces that are known: every character of the training text is one, so that no word is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    ids: HashMap<String, u32>,
    /// Bytes of the longest.
    longest: usize,
}

impl Index {
    pub(super) fn of(pieces: &[String]) -> Index {
        let ids = pieces.iter().zip(0..).map(|(piece, id)| (piece.clone(), id)).collect();
        Index { ids, longest: pieces.iter().map(String::len).max().unwrap_or(0) }
    }

    /// The longest piece at the beginning of a word: its id and its bytes.
    pub(super) fn longest(&self, word: &str) -> Option<(u32, usize)> {
        let ends = word.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= self.longest);
        let ends: Vec<usize> = ends.collect();
        ends.into_iter().rev().find_map(|end| Some((*self.ids.get(&word[..end])?, end)))
    }
}

/// Cuts a text into words, each with the blank before it, and single characters.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let is_word = |c: char| c.is_alphanumeric() || c == '\'' || is_combining_mark(c);
        let first = rest.chars().next()?;
        let start = if first == ' ' { 1 } else { 0 };
        let run = rest[start..].find(|c| !is_word(c)).map_or(rest.len(), |at| start + at);
        let end = if run > start { run } else { first.len_utf8() };
        let (word, after) = rest.split_at(end);
        rest = after;
        Some(word)
    })
}

fn counted(text: &str) -> HashMap<&str, u64> {
    let mut counts = HashMap::new();
    words(text).for_each(|word| *counts.entry(word).or_default() += 1);
    counts
}

/// The characters of a text and its most frequent words, at most `size` of both, each word seen at least `least` times.
pub(super) fn most_frequent(text: &str, size: usize, least: u64) -> Vec<String> {
    let mut pieces: BTreeSet<String> = text.chars().map(String::from).collect();
    let counts = counted(text).into_iter().filter(|(word, n)| *n >= least && !pieces.contains(*word));
    let mut counts: Vec<(&str, u64)> = counts.collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    counts.truncate(size.saturating_sub(pieces.len()));
    pieces.extend(counts.into_iter().map(|(word, _)| word.to_string()));
    pieces.into_iter().collect()
}

/// The characters of a text and the pieces that byte-pair encoding makes of them (Sennrich et al. 2016, section 3.2), at most
/// `size`: again and again the two neighbours that come most often within words become one.
pub(super) fn merged(text: &str, size: usize) -> Vec<String> {
    let mut pieces: Vec<String> = text.chars().collect::<BTreeSet<char>>().into_iter().map(String::from).collect();
    let id_of: HashMap<char, u32> =
        pieces.iter().zip(0..).map(|(piece, id)| (piece.chars().next().unwrap_or(' '), id)).collect();
    // In a fixed order, so that the same text gives the same pieces.
    let counts: BTreeMap<&str, u64> = counted(text).into_iter().collect();
    let mut words: Vec<(Vec<u32>, u64)> =
        counts.into_iter().map(|(word, n)| (word.chars().map(|c| id_of[&c]).collect(), n)).collect();
    let mut pairs: HashMap<(u32, u32), (u64, HashSet<usize>)> = HashMap::new();
    for (i, (word, n)) in words.iter().enumerate() {
        for pair in word.windows(2) {
            let entry = pairs.entry((pair[0], pair[1])).or_default();
            entry.0 += n;
            entry.1.insert(i);
        }
    }
    // Of equally frequent pairs the one of the earlier pieces. A count that is no longer true is passed over.
    let mut queue: BinaryHeap<(u64, std::cmp::Reverse<(u32, u32)>)> =
        pairs.iter().map(|(pair, (n, _))| (*n, std::cmp::Reverse(*pair))).collect();
    let mut known: HashSet<String> = pieces.iter().cloned().collect();
    while pieces.len() < size {
        let Some((n, std::cmp::Reverse(pair))) = queue.pop() else { break };
        if n < 2 {
            break;
        }
        if pairs.get(&pair).is_none_or(|(now, _)| *now != n) {
            continue;
        }
        let Some((_, places)) = pairs.remove(&pair) else { continue };
        let new = pieces.len() as u32;
        let piece = [pieces[pair.0 as usize].as_str(), &pieces[pair.1 as usize]].concat();
        // Two pairs may join to the same piece: it stays the one that it is.
        let is_new = known.insert(piece.clone());
        let id = if is_new { new } else { pieces.iter().position(|known| *known == piece).unwrap_or_default() as u32 };
        if is_new {
            pieces.push(piece);
        }
        let mut changed: HashSet<(u32, u32)> = HashSet::new();
        let mut places: Vec<usize> = places.into_iter().collect();
        places.sort_unstable();
        for i in places {
            let (word, n) = &mut words[i];
            for before in word.windows(2).map(|two| (two[0], two[1])).filter(|two| *two != pair) {
                if let Some((count, _)) = pairs.get_mut(&before) {
                    *count -= *n;
                    changed.insert(before);
                }
            }
            let mut joined = Vec::with_capacity(word.len());
            let mut at = 0;
            while at < word.len() {
                let is_pair = at + 1 < word.len() && (word[at], word[at + 1]) == pair;
                joined.push(if is_pair { id } else { word[at] });
                at += if is_pair { 2 } else { 1 };
            }
            for after in joined.windows(2).map(|two| (two[0], two[1])) {
                let entry = pairs.entry(after).or_default();
                entry.0 += *n;
                entry.1.insert(i);
                changed.insert(after);
            }
            *word = joined;
        }
        queue
            .extend(changed.into_iter().map(|pair| (pairs.get(&pair).map_or(0, |(n, _)| *n), std::cmp::Reverse(pair))));
    }
    pieces.sort();
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_its_words_joined() {
        let text = "The cat's hat,  a हिन्दी word\n\nand  3.5";
        let found: Vec<&str> = words(text).collect();
        assert_eq!(found.concat(), text);
        assert_eq!(found[..5], ["The", " cat's", " hat", ",", " "]);
        assert!(found.contains(&" हिन्दी"), "{found:?}");
    }

    #[test]
    fn pieces_are_those_that_come_often() {
        let text = "low low low low low lower lower newest newest newest newest newest newest widest widest widest";
        let pieces = merged(text, 40);
        assert!(pieces.contains(&" newest".to_string()) && pieces.contains(&" low".to_string()), "{pieces:?}");
        assert_eq!(pieces, merged(text, 40));
        let characters = text.chars().collect::<BTreeSet<_>>().len();
        assert_eq!(merged(text, characters + 1).len(), characters + 1);
        assert!(merged(text, characters + 1).contains(&"es".to_string()), "nine times, as is st");
        let words = most_frequent(text, 100, 3);
        assert!(words.contains(&" low".to_string()) && !words.contains(&" lower".to_string()));
        let index = Index::of(&words);
        assert_eq!(index.longest(" lower").map(|(id, len)| (words[id as usize].as_str(), len)), Some((" low", 4)));
    }
}
