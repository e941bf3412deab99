//! Who may do and see what, through every door.

use local::StackOptions;
use proto::identity::v1::Role;
use proto::opportunities::v1::opportunity_service_client::OpportunityServiceClient;
use proto::opportunities::v1::{
    ChangeOpportunityStageRequest, GetOpportunityRequest, ListOpportunitiesRequest,
};
use reqwest::Method;
use rpc::client::Context;
use serde_json::{Value, json};
use tonic::Code;

use crate::world::{Person, World};

/// Two teams and who is in them, with an opportunity of 100 of each rep's, of 1000 of the manager's and of 10 of the administrator's.
struct Company {
    world: World,
    amy: Person,
    ben: Person,
    /// Of the other team.
    zoe: Person,
    /// Manages the team of Amy and Ben.
    mei: Person,
    viewer: Person,
}

impl Company {
    async fn found(visibility: &str) -> Self {
        let world = World::with("VISIBILITY", visibility).await;
        let north = world.add_team("North").await;
        let south = world.add_team("South").await;
        let amy = world.add("amy", Role::Rep, Some(north)).await;
        let ben = world.add("ben", Role::Rep, Some(north)).await;
        let zoe = world.add("zoe", Role::Rep, Some(south)).await;
        let mei = world.add("mei", Role::Manager, Some(north)).await;
        let viewer = world.add("viewer", Role::Viewer, Some(south)).await;
        world.appoint(north, &mei).await;
        for (person, amount) in [(&amy, 100), (&ben, 100), (&zoe, 100), (&mei, 1000)] {
            person.api.create(&sale(amount)).await;
        }
        world.admin.create(&sale(10)).await;
        Self { world, amy, ben, zoe, mei, viewer }
    }

    /// What the list, the overview, the forecast and the performance report say that this person may see: their total value, each alike.
    async fn sees(&self, person: &Person, expected: i64) {
        let list = person.api.eventually("/opportunities?include_total=true", |body| {
            sum(body, "amount") == expected
        });
        let count = list.await.body["total_count"].clone();
        let path = "/pipeline/overview";
        let it = person.api.eventually(path, |body| body["total_pipeline_value"] == expected);
        assert_eq!(it.await.body["total_opportunities"], count);
        let stages = person.api.get("/reports/conversion-rate").await;
        assert_eq!(stages.body["items"][0]["entered"], count, "{}", stages.text);
        let forecast = person.api.get("/forecast").await;
        assert_eq!(forecast.body["by_stage"][0]["total_value"], expected, "{}", forecast.text);
        let trend = person.api.get("/reports/sales-trend?period=yearly").await;
        assert_eq!(trend.body["items"][4]["created_value"], expected, "{}", trend.text);
        let performance = person.api.get("/reports/sales-performance").await;
        assert_eq!(sum(&performance.body, "open_pipeline_value"), expected, "{}", performance.text);
    }
}

fn sale(amount: i64) -> Value {
    json!({
        "customer_name": "Customer", "opportunity_name": "Sale", "amount": amount,
        "expected_close_date": "2025-12-31",
    })
}

fn sum(body: &Value, member: &str) -> i64 {
    body["items"].as_array().unwrap().iter().map(|item| item[member].as_i64().unwrap()).sum()
}

/// Whether this opportunity is as if it were not there, through every door.
async fn is_hidden(person: &Person, id: i64) {
    let path = format!("/opportunities/{id}");
    for (method, path, body) in [
        (Method::GET, path.clone(), ""),
        (Method::GET, format!("{path}/history"), ""),
        (Method::PATCH, format!("{path}/stage"), r#"{"stage":"won"}"#),
    ] {
        let answer = person.api.send(method, &path, &[], body).await;
        assert_eq!(answer.problem(), (404, "not_found"), "{path}");
    }
}

async fn id_of(person: &Person) -> i64 {
    let list = person.api.get(&format!("/opportunities?owner_id={}", person.id)).await;
    list.body["items"][0]["id"].as_i64().unwrap()
}

#[tokio::test]
async fn with_visibility_owner_a_rep_sees_their_own_and_a_manager_their_teams() {
    let company = Company::found("owner").await;
    company.sees(&company.amy, 100).await;
    company.sees(&company.zoe, 100).await;
    company.sees(&company.mei, 1200).await;
    company.sees(&company.viewer, 0).await;
    let admin = Person { id: 1, api: company.world.admin.clone() };
    company.sees(&admin, 1310).await;
    let (amys, zoes) = (id_of(&company.amy).await, id_of(&company.zoe).await);
    is_hidden(&company.ben, amys).await;
    is_hidden(&company.zoe, amys).await;
    is_hidden(&company.viewer, amys).await;
    is_hidden(&company.mei, zoes).await;
    asking_for_others_shows_nothing(&company).await;
    a_service_asked_directly_answers_no_more_than_the_gateway(&company, amys).await;
    an_external_id_that_is_taken_names_its_opportunity_to_who_may_see_it(&company).await;
    an_administrator_is_told_who_may_read_and_change_it(&company, amys).await;
    a_closing_is_told_to_who_may_see_it_and_nobody_else(&company, amys).await;
}

#[tokio::test]
async fn with_visibility_team_a_rep_sees_their_team() {
    let company = Company::found("team").await;
    company.sees(&company.amy, 1200).await;
    company.sees(&company.zoe, 100).await;
    company.sees(&company.mei, 1200).await;
    company.sees(&company.viewer, 100).await;
    let (bens, zoes) = (id_of(&company.ben).await, id_of(&company.zoe).await);
    is_hidden(&company.amy, zoes).await;
    is_hidden(&company.zoe, bens).await;
    let seen = company.amy.api.get(&format!("/opportunities/{bens}")).await;
    assert_eq!(seen.status, 200, "{}", seen.text);
    asking_for_others_shows_nothing(&company).await;
    to_see_is_not_to_change(&company, bens).await;
    let amys = id_of(&company.amy).await;
    a_closing_is_told_to_who_may_see_it_and_nobody_else(&company, amys).await;
    what_is_open_follows_to_another_team_and_what_is_closed_stays(&company, amys).await;
}

#[tokio::test]
async fn who_may_write_is_a_matter_of_role() {
    let world = World::start(StackOptions::default()).await;
    let team = world.add_team("North").await;
    let amy = world.add("amy", Role::Rep, Some(team)).await;
    let zoe = world.add("zoe", Role::Rep, None).await;
    let mei = world.add("mei", Role::Manager, None).await;
    let viewer = world.add("viewer", Role::Viewer, Some(team)).await;
    world.appoint(team, &mei).await;
    let for_whom = |person: &Person| {
        let mut wanted = sale(1);
        wanted["owner_id"] = json!(person.id);
        wanted
    };
    let refused = amy.api.post("/opportunities", &for_whom(&zoe)).await;
    assert_eq!(refused.problem(), (403, "owner_not_self"), "a rep makes them for themselves");
    let refused = viewer.api.post("/opportunities", &sale(1)).await;
    assert_eq!(refused.problem().0, 403, "a viewer makes none");
    let refused = mei.api.post("/opportunities", &for_whom(&zoe)).await;
    assert_eq!(
        refused.problem(),
        (403, "owner_out_of_reach"),
        "a manager makes them for their team"
    );

    let amys = amy.api.create(&sale(1)).await["id"].as_i64().unwrap();
    // That she leads the team is told to opportunities by an event.
    let deadline = tokio::time::Instant::now() + crate::api::PATIENCE;
    let led = loop {
        let answer = mei.api.post("/opportunities", &for_whom(&amy)).await;
        if answer.status == 201 || tokio::time::Instant::now() > deadline {
            break answer;
        }
    };
    assert_eq!((led.status, &led.body["owner_id"]), (201, &json!(amy.id)), "{}", led.text);
    let zoes = world.admin.create(&for_whom(&zoe)).await["id"].as_i64().unwrap();

    let win = json!({"stage": "won"});
    for (person, id, status) in [
        (&viewer, amys, 403),
        (&zoe, amys, 403),
        (&amy, zoes, 403),
        (&mei, zoes, 403),
        (&mei, amys, 200),
        (&amy, amys, 200),
        (&zoe, zoes, 200),
    ] {
        let answer = person.api.patch(&format!("/opportunities/{id}/stage"), &win).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        if status == 403 {
            assert_eq!(answer.problem(), (403, "not_yours"));
        }
    }
    assert_eq!(viewer.api.get(&format!("/opportunities/{amys}")).await.status, 200);
}

async fn asking_for_others_shows_nothing(company: &Company) {
    let (amy, zoe) = (&company.amy, &company.zoe);
    let owner = zoe.id;
    let list = amy.api.get(&format!("/opportunities?owner_id={owner}&include_total=true")).await;
    assert_eq!(list.body, json!({"items": [], "next_cursor": null, "total_count": 0}));
    let overview = amy.api.get(&format!("/pipeline/overview?owner_id={owner}")).await;
    assert_eq!(overview.body["total_opportunities"], 0);
    let forecast = amy.api.get(&format!("/forecast?owner_id={owner}")).await;
    assert_eq!(forecast.body["by_stage"][0]["count"], 0);
    let trend = amy.api.get(&format!("/reports/sales-trend?period=yearly&owner_id={owner}")).await;
    assert_eq!(trend.body["items"][4]["created_count"], 0);
    let conversion = amy.api.get(&format!("/reports/conversion-rate?owner_id={owner}")).await;
    assert_eq!(conversion.body["items"][0]["entered"], 0);
}

async fn to_see_is_not_to_change(company: &Company, bens: i64) {
    let path = format!("/opportunities/{bens}/stage");
    let refused = company.amy.api.patch(&path, &json!({"stage": "won"})).await;
    assert_eq!(refused.problem(), (403, "not_yours"));
    let found = company.ben.api.get(&format!("/opportunities/{bens}")).await;
    assert_eq!(found.body["version"], 1);
}

async fn a_service_asked_directly_answers_no_more_than_the_gateway(company: &Company, amys: i64) {
    let channel = company.world.channel("opportunities");
    let mut service = OpportunityServiceClient::new(channel);
    let ben = company.ben.api.token().unwrap();
    let context = Context::default().with_authorization(format!("Bearer {ben}").parse().unwrap());
    let get = context.request(GetOpportunityRequest { id: amys });
    assert_eq!(service.get_opportunity(get).await.unwrap_err().code(), Code::NotFound);
    let step =
        ChangeOpportunityStageRequest { id: amys, stage: "won".to_owned(), ..Default::default() };
    let moved = service.change_opportunity_stage(context.request(step)).await;
    assert_eq!(moved.unwrap_err().code(), Code::NotFound);
    let list = context.request(ListOpportunitiesRequest::default());
    let list = service.list_opportunities(list).await.unwrap().into_inner();
    assert!(list.items.iter().all(|it| it.owner_id == company.ben.id), "{list:?}");
    let nobody = Context::default().request(GetOpportunityRequest { id: amys });
    assert_eq!(service.get_opportunity(nobody).await.unwrap_err().code(), Code::Unauthenticated);
}

async fn an_external_id_that_is_taken_names_its_opportunity_to_who_may_see_it(company: &Company) {
    let mut wanted = sale(0);
    wanted["external_id"] = json!("erp-1");
    let first = company.amy.api.create(&wanted).await;
    let told = company.mei.api.post("/opportunities", &wanted).await;
    assert_eq!(told.problem(), (409, "external_id_taken"));
    assert_eq!(told.body["about"], json!({"opportunity_id": first["id"]}));
    let not_told = company.zoe.api.post("/opportunities", &wanted).await;
    assert_eq!(not_told.problem(), (409, "external_id_taken"));
    assert_eq!(not_told.body.get("about"), None);
}

async fn an_administrator_is_told_who_may_read_and_change_it(company: &Company, amys: i64) {
    let path = format!("/opportunities/{amys}/access");
    let people = company.world.admin.all(&path).await;
    let person = |name: &str| {
        let mut found = people.iter().filter(|it| it["username"] == name);
        let it = found.next().unwrap();
        json!([it["role"], it["can_write"], it["reasons"]])
    };
    assert_eq!(people.len(), 6);
    assert!(people.is_sorted_by_key(|it| it["user_id"].as_i64()));
    assert_eq!(person("amy"), json!(["rep", true, ["owner"]]));
    assert_eq!(person("ben"), json!(["rep", false, []]));
    assert_eq!(person("mei"), json!(["manager", true, ["manager_of_team"]]));
    assert_eq!(person("viewer"), json!(["viewer", false, []]));
    let admin = people.iter().find(|it| it["user_id"] == 1).unwrap();
    assert_eq!(json!([admin["can_write"], admin["reasons"]]), json!([true, ["admin"]]));

    let first = company.world.admin.get(&format!("{path}?limit=2")).await;
    assert_eq!(first.body["items"], json!(people[..2]));
    let cursor = first.body["next_cursor"].as_str().unwrap();
    let second = company.world.admin.get(&format!("{path}?limit=2&cursor={cursor}")).await;
    assert_eq!(second.body["items"], json!(people[2..4]));
    let bad = company.world.admin.get(&format!("{path}?cursor=x")).await;
    assert_eq!(bad.problem(), (400, "cursor_invalid"));
    let bad = company.world.admin.get(&format!("{path}?limit=201&team_id=1")).await;
    assert_eq!(bad.problem().0, 422);

    for person in [&company.amy, &company.mei] {
        assert_eq!(person.api.get(&path).await.problem(), (403, "denied"));
    }
    for person in [&company.ben, &company.zoe, &company.viewer] {
        assert_eq!(person.api.get(&path).await.problem(), (404, "not_found"));
    }
}

async fn a_closing_is_told_to_who_may_see_it_and_nobody_else(company: &Company, amys: i64) {
    company.world.admin.advance(amys, "won").await;
    let is_told = |body: &Value| body["items"][0]["opportunity_id"] == amys;
    for person in [&company.amy, &company.mei] {
        person.api.eventually("/notifications", is_told).await;
    }
    // All are told in one transaction.
    for person in [&company.ben, &company.zoe, &company.viewer] {
        assert_eq!(person.api.get("/notifications").await.body["items"], json!([]));
    }
    assert_eq!(company.world.admin.get("/notifications").await.body["items"], json!([]));
}

async fn what_is_open_follows_to_another_team_and_what_is_closed_stays(
    company: &Company,
    closed: i64,
) {
    let Company { world, amy, ben, zoe, .. } = company;
    let open = amy.api.create(&sale(7)).await["id"].as_i64().unwrap();
    let team_of = async |id: i64| {
        let found = world.admin.get(&format!("/opportunities/{id}")).await;
        found.body["team_id"].as_i64().unwrap()
    };
    let (north, south) = (team_of(closed).await, team_of(id_of(zoe).await).await);
    let path = format!("/teams/{south}/members/{}", amy.id);
    assert_eq!(world.admin.send(Method::PUT, &path, &[], "").await.status, 204);

    let path = format!("/opportunities/{open}");
    let moved = zoe.api.eventually(&path, |body| body["team_id"] == south).await;
    assert_eq!(moved.body["version"], 2);
    is_hidden(ben, open).await;
    assert_eq!(team_of(closed).await, north);
    assert_eq!(ben.api.get(&format!("/opportunities/{closed}")).await.status, 200);
    is_hidden(zoe, closed).await;

    let path = format!("/pipeline/overview?team_id={south}");
    world.admin.eventually(&path, |body| body["total_pipeline_value"] == 107).await;
    let won = |body: &Value| {
        let stages = body["stages"].as_array().unwrap().iter();
        let counts = stages.filter(|it| it["kind"] == "won").map(|it| it["count"].clone());
        counts.collect::<Vec<_>>()
    };
    assert_eq!(won(&world.admin.get(&path).await.body), [0]);
    let of_north = world.admin.get(&format!("/pipeline/overview?team_id={north}")).await;
    assert_eq!(won(&of_north.body), [1]);
    assert_eq!(of_north.body["total_pipeline_value"], 1100);
}
