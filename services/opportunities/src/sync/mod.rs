//! Keeping a copy: what changed since somebody last looked, as far as they may see it, and what they may not see any more.
//!
//! First all records are told, kind by kind and by id. Then come the changes in the order of the change log: it says what changed, and what is told is how that is
//! now. Each person's sight is written down whenever it is another, so that what went out of it can be taken back.

mod load;
pub mod model;
mod store;

use auth::Caller;
use chrono::{DateTime, Utc};
use events::log;
use rpc::Error;
use sqlx::PgPool;

use crate::activity;
use crate::contact::model::Contact;
use crate::customer::Asker;
use crate::customer::model::Customer;
use crate::opportunity;
use crate::pipeline::model::Pipeline;
use crate::{State, access};
use access::model::Sight;
use model::{Eyes, Former, Kind, Place, Task, Wanted, Within};
use store::Before;

/// How many stretches of records or changes are looked at for one page, where there is little to see in them.
const LOOKS: usize = 8;
/// How long such a stretch is for who does not see all.
const STRETCH: usize = 5_000;
/// How many changes are looked at at once for who does not see all.
const CHANGES: i32 = 500;

/// Something that is told.
#[derive(Clone, Debug)]
pub enum Item {
    /// A pipeline.
    Pipeline(Pipeline),
    /// A customer.
    Customer(Customer),
    /// A contact.
    Contact(Contact),
    /// An opportunity.
    Opportunity(Box<opportunity::Detail>),
    /// An activity.
    Activity(Box<activity::Detail>),
    /// A record that is not there any more, or not for who asks.
    Gone {
        /// Its kind.
        kind: Kind,
        /// Its id.
        id: i64,
        /// Its version.
        version: i64,
    },
}

/// A piece of what is told.
#[derive(Clone, Debug)]
pub struct Page {
    /// In order.
    pub items: Vec<Item>,
    /// Where it goes on.
    pub next: Place,
    /// Whether there is more already.
    pub has_more: bool,
}

/// The next page for a caller, from the beginning where they have no place yet.
pub async fn page(
    state: &State,
    caller: &Caller,
    since: Option<Place>,
    limit: usize,
    now: DateTime<Utc>,
) -> Result<Page, Error> {
    caller.require_read()?;
    let visibility = state.settings.get()?.visibility;
    let sight = access::sight(&state.reads, caller, visibility).await?;
    let who = Asker { by: caller.user_id, read: sight, write: Sight::Nothing };
    // Before anything else is looked at: what is committed meanwhile is told afterwards.
    let last = log::last_position(&state.reads).await?;
    let (place, former) = settle(state, &who, since, last, now).await?;
    let eyes = Eyes { now: who.read.clone(), former };
    let mut telling =
        Telling { pool: &state.reads, who: &who, eyes, place, items: Vec::new(), limit };
    for _ in 0..LOOKS {
        if telling.room() == 0 || !telling.go_on().await? {
            break;
        }
    }
    let Telling { mut place, eyes, items, .. } = telling;
    let is_over = |position| eyes.former.iter().all(|it| it.until_position <= position);
    if place.walk.is_none() && is_over(place.position) {
        place.former.clear();
    }
    let has_more = place.walk.is_some() || place.within.is_some() || place.position < last;
    Ok(Page { items, next: place, has_more })
}

/// Where somebody is, now that they see what they see, and what they saw before.
async fn settle(
    state: &State,
    who: &Asker,
    since: Option<Place>,
    last: i64,
    now: DateTime<Utc>,
) -> Result<(Place, Vec<Former>), Error> {
    let named: Vec<_> =
        since.iter().flat_map(|it| it.former.iter().chain([&it.sight_id])).copied().collect();
    let mut written = store::sights(&state.reads, who.by, &named).await?;
    if !named.iter().all(|id| written.iter().any(|it| it.id == *id)) {
        return Err(model::invalid());
    }
    if written.first().is_none_or(|it| it.until.is_some() || !is_same(&it.sight, &who.read)) {
        let id = store::insert_sight(&state.writes, who.by, &who.read, last, now).await?;
        for it in &mut written {
            it.until = it.until.or(Some((last, now)));
        }
        written.insert(0, store::Written { id, sight: who.read.clone(), until: None });
    }
    let current = written[0].id;
    let place = match since {
        None => Place::start(last, current),
        // The database is from before this was given: there is no telling what has been since.
        Some(place) if place.position > last => return Err(model::invalid()),
        Some(place) => place.seeing(current),
    };
    let is_former = |it: &&store::Written| place.former.contains(&it.id);
    let former = written.iter().filter(is_former).filter_map(store::Written::former).collect();
    Ok((place, former))
}

/// Whether it is the same records, in whatever order the teams come.
fn is_same(one: &Sight, other: &Sight) -> bool {
    let sorted = |sight: &Sight| {
        let (all, owner_id, team_ids) = sight.parts();
        let mut team_ids = team_ids.to_vec();
        team_ids.sort_unstable();
        team_ids.dedup();
        (all, owner_id, team_ids)
    };
    sorted(one) == sorted(other)
}

/// A page that is being put together.
struct Telling<'a> {
    pool: &'a PgPool,
    who: &'a Asker,
    eyes: Eyes,
    place: Place,
    items: Vec<Item>,
    limit: usize,
}

impl Telling<'_> {
    fn room(&self) -> usize {
        self.limit.saturating_sub(self.items.len())
    }

    /// How many rows of something a statement looks for.
    fn rows(&self) -> i64 {
        i64::try_from(self.room()).unwrap_or(i64::MAX)
    }

    /// Tells a piece more; whether there was any.
    async fn go_on(&mut self) -> Result<bool, Error> {
        match self.place.walk {
            Some((kind, after)) => self.walk(kind, after).await.map(|()| true),
            None => self.follow().await,
        }
    }

    /// Tells of the records that there are.
    async fn walk(&mut self, kind: Kind, after: i64) -> Result<(), Error> {
        let sees_all = self.who.read == Sight::All;
        let length = if sees_all { self.room() } else { STRETCH };
        let Some(end) = store::stretch(self.pool, kind, after, length).await? else {
            self.place.walk = kind.next().map(|kind| (kind, 0));
            return Ok(());
        };
        let (range, before) = ((after, end), self.before());
        let ids =
            store::ids(self.pool, kind, range, self.who, before.as_ref(), self.rows()).await?;
        let is_full = ids.len() == self.room();
        let went_on = ids.last().copied().filter(|_| is_full).unwrap_or(end);
        // What is not seen now is among them because it was.
        let had = before.map(|_| 0);
        let wanted: Vec<_> =
            ids.into_iter().map(|id| Wanted { had, ..Wanted::new(kind, id) }).collect();
        self.tell(&wanted).await?;
        self.place.walk = Some((kind, went_on));
        Ok(())
    }

    /// All that was seen before, taken together.
    fn before(&self) -> Option<Before> {
        let until = self.eyes.former.iter().map(|it| it.until).max()?;
        let mut teams = Vec::new();
        for former in &self.eyes.former {
            match &former.sight {
                Sight::All => return Some(Before { sight: Sight::All, until }),
                Sight::Of { team_ids, .. } => teams.extend_from_slice(team_ids),
                Sight::Nothing => {}
            }
        }
        let sight = Sight::Of { owner_id: self.who.by, team_ids: teams };
        Some(Before { sight, until })
    }

    /// Tells of what follows from the next changes; whether there are any.
    async fn follow(&mut self) -> Result<bool, Error> {
        let sees_all = self.eyes.now == Sight::All;
        let some = if sees_all { i32::try_from(self.room()).unwrap_or(CHANGES) } else { CHANGES };
        let within = self.place.within.unwrap_or(Within { changes: some, done: 0, after: 0 });
        let read = log::list_changes(self.pool, self.place.position, within.changes).await?;
        let Some(last) = read.events.last().map(|event| event.position) else {
            self.place.within = None;
            return Ok(false);
        };
        let changes = i32::try_from(read.events.len()).unwrap_or(CHANGES);
        let tasks = model::tasks(&read.events, &self.eyes);
        let mut at = Within { changes, ..within };
        while let Some(rest) = tasks.get(at.done..).filter(|rest| !rest.is_empty()) {
            if self.room() == 0 {
                self.place.within = Some(at);
                return Ok(true);
            }
            at = self.do_some(rest, at).await?;
        }
        self.place.within = None;
        self.place.position = last;
        Ok(true)
    }

    /// Does as many of some tasks as there is room for.
    async fn do_some(&mut self, tasks: &[Task], at: Within) -> Result<Within, Error> {
        let record = |task: &Task| match task {
            Task::Record(wanted) => Some(*wanted),
            Task::Along(..) => None,
        };
        if let Some(Task::Along(kind, of)) = tasks.first() {
            let (kind, of, rows) = (*kind, *of, self.rows());
            let ids = match kind {
                Kind::Contact => store::contacts_of(self.pool, of, at.after, rows).await?,
                _ => store::activities_of(self.pool, of, at.after, rows).await?,
            };
            let more = ids.last().copied().filter(|_| ids.len() == self.room());
            let wanted: Vec<_> = ids.into_iter().map(|id| Wanted::new(kind, id)).collect();
            self.tell(&wanted).await?;
            return Ok(match more {
                Some(after) => Within { after, ..at },
                None => Within { done: at.done + 1, after: 0, ..at },
            });
        }
        let wanted: Vec<_> = tasks.iter().map_while(record).take(self.room()).collect();
        self.tell(&wanted).await?;
        Ok(Within { done: at.done + wanted.len(), after: 0, ..at })
    }

    async fn tell(&mut self, wanted: &[Wanted]) -> Result<(), Error> {
        self.items.extend(load::items(self.pool, self.who, wanted).await?);
        Ok(())
    }
}
