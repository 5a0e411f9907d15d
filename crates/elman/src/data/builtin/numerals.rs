//! Numbers and dates in English and in French, in words.

use crate::data::Pair;
use crate::rng::Rng;

const ENGLISH: [&str; 20] = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
];
const ENGLISH_TENS: [&str; 10] = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const FRENCH: [&str; 20] = [
    "zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze", "douze", "treize",
    "quatorze", "quinze", "seize", "dix-sept", "dix-huit", "dix-neuf",
];
const FRENCH_TENS: [&str; 7] = ["", "", "vingt", "trente", "quarante", "cinquante", "soixante"];
const MONTHS: [(&str, &str, u32); 12] = [
    ("January", "janvier", 31),
    ("February", "février", 29),
    ("March", "mars", 31),
    ("April", "avril", 30),
    ("May", "mai", 31),
    ("June", "juin", 30),
    ("July", "juillet", 31),
    ("August", "août", 31),
    ("September", "septembre", 30),
    ("October", "octobre", 31),
    ("November", "novembre", 30),
    ("December", "décembre", 31),
];
const DAYS: [(&str, &str); 7] = [
    ("Monday", "lundi"),
    ("Tuesday", "mardi"),
    ("Wednesday", "mercredi"),
    ("Thursday", "jeudi"),
    ("Friday", "vendredi"),
    ("Saturday", "samedi"),
    ("Sunday", "dimanche"),
];
/// English ordinals not formed by appending `-th`.
const ORDINALS: [(&str, &str); 7] = [
    ("one", "first"),
    ("two", "second"),
    ("three", "third"),
    ("five", "fifth"),
    ("eight", "eighth"),
    ("nine", "ninth"),
    ("twelve", "twelfth"),
];

/// A number below a million in English words.
fn english(n: u32) -> String {
    let rest = |n: u32, join: &str| if n == 0 { String::new() } else { format!("{join}{}", english(n)) };
    match n {
        0..20 => ENGLISH[n as usize].into(),
        20..100 => format!("{}{}", ENGLISH_TENS[n as usize / 10], rest(n % 10, "-")),
        100..1000 => format!("{} hundred{}", english(n / 100), rest(n % 100, " and ")),
        _ => {
            let join = if n % 1000 < 100 { " and " } else { " " };
            format!("{} thousand{}", english(n / 1000), rest(n % 1000, join))
        }
    }
}

/// The ordinal of a number below a hundred in English words.
fn ordinal(n: u32) -> String {
    let cardinal = english(n);
    let at = cardinal.rfind('-').map_or(0, |at| at + 1);
    let (tens, last) = cardinal.split_at(at);
    match (ORDINALS.iter().find(|(number, _)| *number == last), last.strip_suffix('y')) {
        (Some((_, ordinal)), _) => format!("{tens}{ordinal}"),
        (None, Some(stem)) => format!("{tens}{stem}ieth"),
        (None, None) => format!("{tens}{last}th"),
    }
}

/// A number below a million in French words, in the pre-1990 spelling: hyphens below a hundred but around `et`; `cent`
/// and `quatre-vingt` with an s where they are multiplied and end the number; `mille` never.
fn french(n: u32) -> String {
    french_before(n, false)
}

fn french_before(n: u32, is_followed: bool) -> String {
    let plural = if is_followed { "" } else { "s" };
    match n {
        0..20 => FRENCH[n as usize].into(),
        20..70 if n.is_multiple_of(10) => FRENCH_TENS[n as usize / 10].into(),
        20..70 if n % 10 == 1 => format!("{} et un", FRENCH_TENS[n as usize / 10]),
        20..70 => format!("{}-{}", FRENCH_TENS[n as usize / 10], french(n % 10)),
        71 => "soixante et onze".into(),
        70..80 => format!("soixante-{}", french(n - 60)),
        80 => format!("quatre-vingt{plural}"),
        81..100 => format!("quatre-vingt-{}", french(n - 80)),
        100..1000 => {
            let hundreds = if n < 200 { "cent".into() } else { format!("{} cent", french(n / 100)) };
            match n % 100 {
                0 if n >= 200 => format!("{hundreds}{plural}"),
                0 => hundreds,
                rest => format!("{hundreds} {}", french_before(rest, is_followed)),
            }
        }
        _ => {
            let thousands = if n < 2000 { "mille".into() } else { format!("{} mille", french_before(n / 1000, true)) };
            match n % 1000 {
                0 => thousands,
                rest => format!("{thousands} {}", french_before(rest, is_followed)),
            }
        }
    }
}

/// A date, with or without the weekday, sometimes with the year.
fn date(rng: &mut Rng) -> Pair {
    let (month, mois, days) = MONTHS[rng.below(12)];
    let day = 1 + rng.below(days as usize) as u32;
    let jour = if day == 1 { "premier".into() } else { french(day) };
    let (mut source, mut target) = (format!("{month} the {}", ordinal(day)), format!("{jour} {mois}"));
    let (name, nom) = DAYS[rng.below(DAYS.len())];
    if rng.below(2) == 0 {
        source = format!("{name}, {source}");
        target = format!("{nom} {target}");
    }
    if rng.below(2) == 0 {
        let year = 1900 + rng.below(150) as u32;
        source = format!("{source}, {}", spoken_year(year));
        // Years take no s.
        target = format!("{target} {}", french_before(year, true));
    }
    Pair { source, target: format!("le {target}") }
}

/// A year from 1900 as spoken in English: `nineteen eighty-four`, `two thousand and five`, `twenty twenty-six`.
fn spoken_year(year: u32) -> String {
    match year % 100 {
        _ if (2000..2010).contains(&year) => english(year),
        0 => format!("{} hundred", english(year / 100)),
        rest @ 1..10 => format!("{} oh {}", english(year / 100), english(rest)),
        rest => format!("{} {}", english(year / 100), english(rest)),
    }
}

/// A number of up to 2, 3, 4 or 6 digits, or a date.
fn pair(rng: &mut Rng) -> Pair {
    let below = match rng.below(6) {
        0 => 100,
        1 => 1000,
        2 => 10_000,
        3 => 1_000_000,
        _ => return date(rng),
    };
    let n = rng.below(below) as u32;
    Pair { source: english(n), target: french(n) }
}

/// `count` distinct pairs: numbers below a million and dates, in English and in French words.
pub fn numerals(seed: u64, count: usize) -> Vec<Pair> {
    let mut rng = Rng::new(seed, "numerals");
    let mut seen = std::collections::HashSet::new();
    let mut pairs = Vec::with_capacity(count);
    while pairs.len() < count {
        let pair = pair(&mut rng);
        if seen.insert(pair.source.clone()) {
            pairs.push(pair);
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn french_numbers_follow_the_grammar() {
        for (n, want) in [
            (0, "zéro"),
            (16, "seize"),
            (17, "dix-sept"),
            (21, "vingt et un"),
            (22, "vingt-deux"),
            (61, "soixante et un"),
            (70, "soixante-dix"),
            (71, "soixante et onze"),
            (72, "soixante-douze"),
            (79, "soixante-dix-neuf"),
            (80, "quatre-vingts"),
            (81, "quatre-vingt-un"),
            (91, "quatre-vingt-onze"),
            (99, "quatre-vingt-dix-neuf"),
            (100, "cent"),
            (101, "cent un"),
            (180, "cent quatre-vingts"),
            (200, "deux cents"),
            (201, "deux cent un"),
            (1000, "mille"),
            (1900, "mille neuf cents"),
            (1984, "mille neuf cent quatre-vingt-quatre"),
            (2000, "deux mille"),
            (80_000, "quatre-vingt mille"),
            (200_000, "deux cent mille"),
            (280_080, "deux cent quatre-vingt mille quatre-vingts"),
            (999_999, "neuf cent quatre-vingt-dix-neuf mille neuf cent quatre-vingt-dix-neuf"),
        ] {
            assert_eq!(french(n), want);
        }
    }

    #[test]
    fn english_numbers_ordinals_and_years_are_as_they_are_spoken() {
        for (n, want) in [
            (13, "thirteen"),
            (42, "forty-two"),
            (105, "one hundred and five"),
            (1005, "one thousand and five"),
            (21_340, "twenty-one thousand three hundred and forty"),
        ] {
            assert_eq!(english(n), want);
        }
        let days = [1, 2, 3, 4, 8, 9, 12, 20, 21, 30, 31].map(ordinal);
        let want = "first second third fourth eighth ninth twelfth twentieth twenty-first thirtieth thirty-first";
        assert_eq!(days.join(" "), want);
        let years = [1900, 1905, 1984, 2000, 2007, 2026].map(spoken_year);
        let want = "nineteen hundred|nineteen oh five|nineteen eighty-four|two thousand|two thousand and seven|twenty \
                    twenty-six";
        assert_eq!(years.join("|"), want);
    }

    #[test]
    fn pairs_are_distinct_and_a_first_is_premier() {
        let pairs = numerals(1, 4000);
        let sources: std::collections::HashSet<&str> = pairs.iter().map(|pair| pair.source.as_str()).collect();
        assert_eq!(sources.len(), 4000);
        assert!(pairs == numerals(1, 4000) && pairs != numerals(2, 4000));
        let firsts = pairs.iter().filter(|pair| pair.source.contains("the first"));
        assert!(firsts.clone().count() > 10 && firsts.into_iter().all(|pair| pair.target.contains("premier ")));
        assert!(pairs.iter().any(|pair| pair.target.starts_with("le ") && pair.target.contains("mars")));
        let in_eighty = pairs.iter().filter(|pair| pair.source.ends_with(", nineteen eighty"));
        assert!(in_eighty.into_iter().all(|pair| pair.target.ends_with(" mille neuf cent quatre-vingt")));
    }
}
