//! Events that were put aside: listed, and applied again when that is asked for.

use analytics::consumer::{NAME, OPPORTUNITIES};
use analytics::dead_letters::replay;
use events::{Event, inbox};
use proto::events::v1::ActivityRecord;

use crate::support::{AMY, Deal, World, activity, now};

async fn put_aside(world: &World, position: i64, event: &Event) {
    let event = Event { position, ..event.clone() };
    let mut connection = world.state.writes.acquire().await.unwrap();
    let why = ("the table was not there", 3);
    inbox::begin(&mut connection, NAME, OPPORTUNITIES, now()).await.unwrap();
    inbox::dead_letter(&mut connection, NAME, OPPORTUNITIES, &event, why, now()).await.unwrap();
}

async fn known(world: &World) -> i64 {
    let count = sqlx::query_scalar("select count(*) from opportunity_facts");
    count.fetch_one(&world.state.reads).await.unwrap()
}

#[tokio::test]
async fn what_can_be_applied_now_is_applied_and_the_rest_stays_aside_with_what_is_wrong() {
    let world = World::create("everyone").await;
    let (_, first) = Deal::begin(1, AMY, Some(1), "2025-10-01T00:00:00Z");
    let (_, second) = Deal::begin(2, AMY, Some(1), "2025-10-01T00:00:00Z");
    let fax = ActivityRecord { id: 5, activity_type: "fax".to_owned(), ..Default::default() };
    for (position, event) in [(7, &first[0]), (8, &activity(1, fax)), (9, &second[0])] {
        put_aside(&world, position, event).await;
    }
    let mut connection = world.state.writes.acquire().await.unwrap();
    let letters = inbox::dead_letters(&mut connection, NAME, 0, 10).await.unwrap();
    let positions: Vec<_> = letters.iter().map(|it| (it.position, it.attempts)).collect();
    assert_eq!(positions, [(7, 3), (8, 3), (9, 3)]);
    assert!(letters.iter().all(|it| it.error == "the table was not there"));

    let last = replay(&mut connection, Some(letters[2].dead_letter_id), now()).await.unwrap();
    assert_eq!((last.applied, last.left.len(), known(&world).await), (1, 0, 1));
    let all = replay(&mut connection, None, now()).await.unwrap();
    assert_eq!((all.applied, known(&world).await), (1, 2));
    let left = (letters[1].dead_letter_id, "an unknown kind of activity".to_owned());
    assert_eq!(all.left, [left]);
    let letters = inbox::dead_letters(&mut connection, NAME, 0, 10).await.unwrap();
    assert_eq!((letters.len(), letters[0].attempts), (1, 4));
    assert_eq!(letters[0].error, "an unknown kind of activity");
    assert!(replay(&mut connection, Some(i64::MAX), now()).await.is_err());
}
