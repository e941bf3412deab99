//! Pages of opportunities behind a term: how many rows, and where one ended.

use events::lock;
use rpc::{Error, Invalid};

/// How many rows a page may have: 1 to 200, 50 by default.
pub(super) fn limit(limit: Option<i32>, invalid: &mut Invalid) -> usize {
    let limit = limit.unwrap_or(50);
    if !(1..=200).contains(&limit) {
        invalid.add("limit", "out_of_range", "is not between 1 and 200");
    }
    usize::try_from(limit).unwrap_or(50)
}

/// Where a page ended: the id of its last opportunity, with a mark of the listing that it continues.
pub(super) struct Place;

impl Place {
    /// As a caller gets it.
    pub(super) fn write(id: i64, listing: &str) -> String {
        format!("{id:x}-{:x}", lock::key("listing", listing))
    }

    /// As a caller gives it back; it has to be of this listing.
    pub(super) fn parse(text: &str, listing: &str) -> Result<i64, Error> {
        let id = text.split_once('-').and_then(|(id, _)| i64::from_str_radix(id, 16).ok());
        let id = id.filter(|id| Self::write(*id, listing) == text);
        id.ok_or_else(|| Error::Malformed {
            reason: "CURSOR_INVALID".into(),
            message: "the cursor is not from this listing".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_continues_its_own_listing_only() {
        let text = Place::write(1_024, "won");
        assert_eq!(Place::parse(&text, "won").ok(), Some(1_024));
        for (text, listing) in [(&*text, "lost"), ("", "won"), ("400", "won"), ("+400-1", "won")] {
            assert!(Place::parse(text, listing).is_err(), "{text} {listing}");
        }
    }
}
