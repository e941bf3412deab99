//! How sure a forecast may be of an opportunity: what it says itself, what its stage says, and what is found by it.

use auth::{Caller, Role};
use opportunities::opportunity::edit::EditWish;
use opportunities::opportunity::list::{self, Ask, Categorized, Filter};
use opportunities::opportunity::{self, draft::Wish};
use opportunities::pipeline::category::Category;
use opportunities::pipeline::draft::StageEdit;
use opportunities::pipeline::stage::{self, StageRef};
use rpc::{Error, Invalid};

use crate::support::{ADMIN, World, caller, meta, wish};

fn admin() -> Caller {
    caller(ADMIN, Role::Admin, None)
}

/// What is found of a category, or closed without one, by id.
async fn found(world: &World, category: Option<Category>) -> Vec<i64> {
    let pipelines = world.state.pipelines.get().unwrap();
    let of = |category| Categorized::open(category, &pipelines);
    let filter =
        Filter { category: Some(category.map_or(Categorized::Closed, of)), ..Filter::default() };
    let mut invalid = Invalid::default();
    let sort = list::sort(&mut invalid, Some("created_at"), Some("asc"));
    let ask = Ask { filter: &filter, sort, limit: 50, cursor: None, include_total: true };
    let page = opportunity::list(&world.state, &admin(), &ask).await.unwrap();
    let ids: Vec<_> = page.items.into_iter().map(|it| it.opportunity.id).collect();
    assert_eq!(page.total, i64::try_from(ids.len()).ok());
    ids
}

/// What the rule says of each, which the list has to say too.
async fn of(world: &World, id: i64) -> Option<Category> {
    let it = world.find(id).await;
    let pipelines = world.state.pipelines.get().unwrap();
    it.category(pipelines.stage(it.pipeline_id, &it.stage_key))
}

async fn say(world: &World, id: i64, category: Option<Category>) {
    let edit = EditWish { forecast_category: Some(category), ..EditWish::default() };
    world.change(&admin(), (id, None), edit).await.unwrap();
}

async fn stage_says(world: &World, key: &str, category: Option<Category>) -> Result<(), Error> {
    let which = StageRef { pipeline_id: None, key: key.to_owned(), expected_version: None };
    let edit = StageEdit { forecast_category: Some(category), ..StageEdit::default() };
    stage::update(&world.state, &admin(), which, edit, meta(ADMIN)).await?;
    world.state.load().await?;
    Ok(())
}

#[tokio::test]
async fn what_says_so_itself_goes_before_its_stage_and_what_is_closed_is_closed() {
    let world = World::create("everyone").await;
    let mut made = Vec::new();
    for stage in ["lead", "negotiation", "contract"] {
        let wish = Wish { stage: Some(stage.to_owned()), ..wish() };
        made.push(world.make(&admin(), wish).await.unwrap().opportunity.id);
    }
    let committed = Wish { forecast_category: Some(Category::Commit), ..wish() };
    made.push(world.make(&admin(), committed).await.unwrap().opportunity.id);
    let [lead, negotiation, contract, committed] = made[..] else { panic!("{made:?}") };
    assert_eq!(found(&world, Some(Category::Pipeline)).await, [lead]);
    assert_eq!(found(&world, Some(Category::BestCase)).await, [negotiation]);
    assert_eq!(found(&world, Some(Category::Commit)).await, [contract, committed]);

    say(&world, lead, Some(Category::Omitted)).await;
    assert_eq!(found(&world, Some(Category::Omitted)).await, [lead]);
    say(&world, lead, None).await;
    assert_eq!(found(&world, Some(Category::Omitted)).await, [0; 0]);
    assert_eq!(of(&world, lead).await, Some(Category::Pipeline));

    // What is closed keeps what it said for when it is opened again.
    world.advance(&admin(), committed, "lost").await.unwrap();
    assert_eq!((found(&world, None).await, of(&world, committed).await), (vec![committed], None));
    let kept = world.find(committed).await.forecast_category;
    assert_eq!(kept, Some(Category::Commit));
    assert_eq!(found(&world, Some(Category::Commit)).await, [contract]);
    world.advance(&admin(), committed, "lead").await.unwrap();
    assert_eq!(of(&world, committed).await, Some(Category::Commit));
    assert_eq!(found(&world, None).await, [0; 0]);
}

#[tokio::test]
async fn a_stage_says_so_for_what_says_nothing_and_only_while_it_is_open() {
    let world = World::create("everyone").await;
    let id = world.sale(&admin()).await.opportunity.id;
    let before = world.find(id).await.version;
    stage_says(&world, "lead", Some(Category::BestCase)).await.unwrap();
    assert_eq!(of(&world, id).await, Some(Category::BestCase));
    assert_eq!(found(&world, Some(Category::BestCase)).await, [id]);
    assert_eq!(world.find(id).await.version, before, "it is no change of the opportunity");
    say(&world, id, Some(Category::Commit)).await;
    stage_says(&world, "lead", Some(Category::Omitted)).await.unwrap();
    assert_eq!(of(&world, id).await, Some(Category::Commit));
    say(&world, id, None).await;
    assert_eq!(of(&world, id).await, Some(Category::Omitted));
    stage_says(&world, "lead", None).await.unwrap();
    assert_eq!(of(&world, id).await, Some(Category::Pipeline));
    let refused = stage_says(&world, "won", Some(Category::Commit)).await;
    assert!(
        matches!(&refused, Err(Error::Invalid(fields)) if fields[0].code == "fixed_by_kind"),
        "{refused:?}"
    );
}
