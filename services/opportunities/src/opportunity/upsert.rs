//! An opportunity by its id in another system: made where there is none, changed where there is one.

use idempotency::Outcome;
use rpc::{Error, Invalid};

use super::draft::Wish;
use super::edit::EditWish;
use super::{Detail, EXTERNAL_ID_TAKEN, create, store, update};
use crate::meta::Meta;
use crate::{State, access, text};

/// How often it is looked for again where somebody else made it meanwhile.
const ATTEMPTS: usize = 3;

/// Makes the opportunity of the wish's `external_id`, or changes it as the edit says; whether it is new. With an expected version it makes none, and changes that version alone; 0
/// is whichever there is.
pub async fn upsert(
    state: &State,
    caller: &auth::Caller,
    (wish, edit): (Wish, EditWish),
    expected_version: Option<i64>,
    meta: Meta,
) -> Result<(Detail, bool), Error> {
    caller.require_write()?;
    let mut invalid = Invalid::default();
    let external_id = text::external_id(&mut invalid, "external_id", wish.external_id.as_deref());
    invalid.into_result()?;
    let Some(external_id) = external_id else {
        return Err(Invalid::default().field("external_id", "required", "is blank").into());
    };
    let visibility = state.settings.get()?.visibility;
    let sight = access::sight(&state.reads, caller, visibility).await?;
    for attempt in 1.. {
        match store::find_external(&state.reads, &external_id).await? {
            None if expected_version.is_some() => return Err(Error::Stale { current: None }),
            None => match create(state, caller, wish.clone(), None, meta.clone()).await {
                Ok(Outcome::New(detail)) => return Ok((detail, true)),
                Ok(Outcome::Replay(_)) => break,
                Err(error) if error.reason() == EXTERNAL_ID_TAKEN && attempt < ATTEMPTS => {}
                Err(error) => return Err(error),
            },
            Some((_, owned)) if !sight.covers(owned) => {
                let message = "an opportunity with this external_id exists";
                return Err(Error::conflict(EXTERNAL_ID_TAKEN, message));
            }
            Some((id, _)) => {
                let found = store::find_any(&state.reads, id).await?;
                if found.is_some_and(|it| it.opportunity.deleted_at.is_some()) {
                    let message = "the opportunity with this external_id was deleted";
                    let deleted = Error::conflict("OPPORTUNITY_DELETED", message);
                    return Err(deleted.about("opportunity_id", id));
                }
                let expected = expected_version.filter(|version| *version != 0);
                let detail = update(state, caller, id, expected, edit, meta).await?;
                return Ok((detail, false));
            }
        }
    }
    Err(Error::internal("a creation without a key was answered before"))
}
