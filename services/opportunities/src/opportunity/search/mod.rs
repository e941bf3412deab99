//! Searching text: what is kept of an opportunity to find it by, and what is looked for.

pub(super) mod store;

use std::collections::BTreeSet;

use rpc::Invalid;
use sqlx::PgPool;

use super::model::Opportunity;
use crate::text::{self, fold};

/// The longest text that is looked for.
const LONGEST: usize = 255;

/// What is kept of an opportunity to find it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indexed {
    /// Name, customer and notes, folded, a line each.
    pub folded: String,
    /// Its characters, and every two that follow each other within a line.
    pub grams: Vec<String>,
}

impl Indexed {
    /// Of an opportunity with these texts.
    pub fn new(opportunity_name: &str, customer_name: &str, notes: Option<&str>) -> Self {
        Self::of_lines(&[opportunity_name, customer_name, notes.unwrap_or_default()])
    }

    /// Of something with these texts.
    pub(crate) fn of_lines(texts: &[&str]) -> Self {
        let lines: Vec<_> = texts.iter().map(|text| fold(text)).collect();
        let mut grams: Vec<&str> = Vec::new();
        for line in &lines {
            grams.extend(pieces(line, 1).filter(|gram| *gram != " "));
            grams.extend(pieces(line, 2));
        }
        grams.sort_unstable();
        grams.dedup();
        Self { folded: lines.join("\n"), grams: grams.into_iter().map(str::to_owned).collect() }
    }

    pub(crate) fn of(it: &Opportunity) -> Self {
        Self::new(&it.opportunity_name, &it.customer_name, it.notes.as_deref())
    }

    /// Of an opportunity after a change, where it is other than before.
    pub(super) fn if_other(before: &Opportunity, after: &Opportunity) -> Option<Self> {
        let texts = |it: &Opportunity| {
            (it.opportunity_name.clone(), it.customer_name.clone(), it.notes.clone())
        };
        (texts(before) != texts(after)).then(|| Self::of(after))
    }
}

/// Every run of that many characters.
fn pieces(line: &str, length: usize) -> impl Iterator<Item = &str> {
    let starts = line.char_indices().map(|(start, _)| start);
    let ends = line.char_indices().map(|(start, it)| start + it.len_utf8()).skip(length - 1);
    starts.zip(ends).map(|(start, end)| &line[start..end])
}

/// What somebody looks for: words, all of which have to be in one of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Each as a pattern of `like`.
    pub patterns: Vec<String>,
    /// What an opportunity that has them all has among its grams.
    pub grams: Vec<String>,
}

impl Query {
    /// Reads `q`; blank is nothing.
    pub fn parse(invalid: &mut Invalid, q: Option<&str>) -> Option<Self> {
        let q = text::name(invalid, "q", q, LONGEST)?;
        let folded = fold(&q);
        let words: BTreeSet<&str> = folded.split(' ').filter(|word| !word.is_empty()).collect();
        let mut grams = BTreeSet::new();
        for word in &words {
            let length = word.chars().take(2).count();
            grams.extend(pieces(word, length));
        }
        let patterns = words.iter().map(|word| format!("%{}%", escape(word))).collect();
        Some(Self { patterns, grams: grams.into_iter().map(str::to_owned).collect() })
    }
}

fn escape(word: &str) -> String {
    word.chars()
        .flat_map(|it| ['\\', it].into_iter().skip(usize::from(!"\\%_".contains(it))))
        .collect()
}

/// Adds what is missing of opportunities that were made before there was a search; how many there were.
pub async fn catch_up(pool: &PgPool) -> sqlx::Result<u64> {
    let (mut added, mut after_id) = (0, i64::MIN);
    loop {
        let missing = store::missing(pool, after_id).await?;
        let Some(last) = missing.last() else { return Ok(added) };
        after_id = last.id;
        let indexed: Vec<_> = missing
            .iter()
            .map(|it| {
                let indexed =
                    Indexed::new(&it.opportunity_name, &it.customer_name, it.notes.as_deref());
                (it.id, it.created_at, indexed)
            })
            .collect();
        added += store::add(pool, &indexed).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(q: &str) -> Query {
        let mut invalid = Invalid::default();
        let query = Query::parse(&mut invalid, Some(q)).unwrap();
        assert!(invalid.is_empty());
        query
    }

    #[test]
    fn what_is_kept_are_characters_and_pairs_within_a_line() {
        let indexed = Indexed::new("系統 A", "ＸＹ", None);
        assert_eq!(indexed.folded, "系統 a\nxy\n");
        let expected = [" a", "a", "x", "xy", "y", "系", "系統", "統", "統 "];
        assert_eq!(indexed.grams, expected);
    }

    #[test]
    fn words_are_looked_for_each_by_itself_and_without_regard_to_case_and_width() {
        let looked_for = query(" ＸＹ系統  ab ");
        assert_eq!(looked_for.patterns, ["%ab%", "%xy系統%"]);
        assert_eq!(looked_for.grams, ["ab", "xy", "y系", "系統"]);
        assert_eq!(query("系").grams, ["系"]);
    }

    #[test]
    fn what_a_pattern_means_is_looked_for_as_it_is() {
        assert_eq!(query(r"50%_\").patterns, [r"%50\%\_\\%"]);
    }

    #[test]
    fn whatever_has_a_text_has_its_grams() {
        for (text, q) in [("Straße 12", "STRASSE"), ("é́ combining", "é"), ("👩‍👩‍👧 family", "👩‍👧")]
        {
            let (indexed, looked_for) = (Indexed::new("", text, None), query(q));
            assert!(looked_for.grams.iter().all(|gram| indexed.grams.contains(gram)), "{q}");
            let word = looked_for.patterns[0].trim_matches('%').to_owned();
            assert!(indexed.folded.contains(&word), "{q}");
        }
    }

    #[test]
    fn blank_is_nothing_and_long_is_too_long() {
        let mut invalid = Invalid::default();
        assert_eq!(Query::parse(&mut invalid, Some("  ")), None);
        assert_eq!(Query::parse(&mut invalid, None), None);
        assert!(invalid.is_empty());
        Query::parse(&mut invalid, Some(&"x".repeat(256)));
        assert!(!invalid.is_empty());
    }
}
