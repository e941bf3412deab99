//! The reasons for which an opportunity may be lost, and which of them somebody means.

use rpc::Invalid;

use crate::text;

/// A reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostReason {
    /// Its id.
    pub id: i64,
    /// What an opportunity says that was lost for it; no other is called so without regard to case and width.
    pub name: String,
    /// Whether it may be named from now on.
    pub is_active: bool,
}

/// All reasons in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LostReasons {
    /// In their order.
    pub items: Vec<LostReason>,
    /// Rises by one with every change of any of them; 0 before the first.
    pub version: i64,
}

impl LostReasons {
    /// What an opportunity is to say that is named a reason: the name of an active one that is the same without regard to case, width and space; any text
    /// while none is active; and what it says already.
    pub fn settle(
        &self,
        invalid: &mut Invalid,
        named: Option<&str>,
        so_far: Option<&str>,
    ) -> Option<String> {
        let named = named?;
        let mut active = self.items.iter().filter(|it| it.is_active).peekable();
        if active.peek().is_none() || so_far == Some(named) {
            return Some(named.to_owned());
        }
        let folded = text::fold(named);
        let found = active.find(|it| text::fold(&it.name) == folded);
        if found.is_none() {
            invalid.add("lost_reason", "unknown_lost_reason", "is none of the reasons in the list");
        }
        found.map(|it| it.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(list: &LostReasons, named: Option<&str>, so_far: Option<&str>) -> Option<String> {
        let mut invalid = Invalid::default();
        let settled = list.settle(&mut invalid, named, so_far);
        assert_eq!(invalid.is_empty(), named.is_none() || settled.is_some());
        settled
    }

    #[test]
    fn a_reason_is_one_of_the_list_however_it_is_written_or_what_is_said_already() {
        let reason = |id, name: &str, is_active| LostReason { id, name: name.into(), is_active };
        let items = vec![reason(1, "Price", true), reason(2, "Timing", false)];
        let list = LostReasons { items, version: 2 };
        assert_eq!(settled(&list, Some("ＰＲＩＣＥ "), None).as_deref(), Some("Price"));
        assert_eq!(settled(&list, Some("Timing"), None), None);
        assert_eq!(settled(&list, Some("Timing"), Some("Timing")).as_deref(), Some("Timing"));
        assert_eq!(settled(&list, Some("timing"), Some("Timing")), None);
        assert_eq!(settled(&list, None, Some("Timing")), None);
    }

    #[test]
    fn any_text_is_a_reason_while_no_reason_is_active() {
        let inactive = LostReason { id: 1, name: "Price".into(), is_active: false };
        for items in [vec![], vec![inactive]] {
            let list = LostReasons { items, version: 1 };
            assert_eq!(settled(&list, Some("whatever"), None).as_deref(), Some("whatever"));
        }
    }
}
