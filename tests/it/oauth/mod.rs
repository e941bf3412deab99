//! Programs that sign people in on the product's own page, and programs that act by themselves.

mod browser;
mod elsewhere;
mod external;
mod page;
mod programs;
mod second_step;

use local::StackOptions;
use serde_json::{Value, json};

use self::browser::{Browser, CHALLENGE, Seen, VERIFIER};
use crate::world::World;

const URI: &str = "https://app.example.com/back?tenant=a";

/// A program, and where people use it.
struct Program<'a> {
    world: &'a World,
    client_id: String,
    secret: Option<String>,
}

impl<'a> Program<'a> {
    /// A new one, that has to be made.
    async fn make(world: &'a World, more: &Value) -> Self {
        let mut wanted = json!({
            "name": "Add-in <b>", "redirect_uris": [URI, "http://127.0.0.1/back"], "scopes": ["write"],
        });
        wanted.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = world.admin.post("/oauth-clients", &wanted).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let text = |name: &str| made.body[name].as_str().map(str::to_owned);
        Self { world, client_id: text("client_id").unwrap(), secret: text("client_secret") }
    }

    /// What it asks for.
    fn asks(&self) -> Vec<(&str, &str)> {
        vec![
            ("client_id", &self.client_id),
            ("redirect_uri", URI),
            ("response_type", "code"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("state", "s-1"),
        ]
    }

    /// The same with one thing another way; without a value it is left out.
    fn asks_with<'b>(&'b self, name: &'b str, value: &'b str) -> Vec<(&'b str, &'b str)> {
        let mut asks: Vec<_> = self.asks().into_iter().filter(|(it, _)| *it != name).collect();
        if !value.is_empty() {
            asks.push((name, value));
        }
        asks
    }

    fn browser(&self) -> Browser {
        Browser::new(&self.world.stack.base_url())
    }

    /// The administrator signs in on the page.
    async fn signs_in(&self, asks: &[(&str, &str)]) -> Seen {
        let mut browser = self.browser();
        let page = browser.open(asks).await;
        assert_eq!(page.status, 200, "{page:?}");
        let secrets = self.world.stack.secrets();
        let (email, password) = (&*secrets.admin_email, &*secrets.admin_password);
        browser.submit(&page.form(), &[("username", email), ("password", password)]).await
    }

    async fn code(&self) -> String {
        self.signs_in(&self.asks()).await.told()["code"].clone()
    }

    /// Exchanges a code as a good program does.
    async fn exchanges(&self, code: &str) -> Seen {
        self.exchanges_with(code, "", "").await
    }

    /// The same with one thing another way; without a value it is left out.
    async fn exchanges_with(&self, code: &str, name: &str, value: &str) -> Seen {
        let good = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", URI),
            ("code_verifier", VERIFIER),
            ("client_id", &self.client_id),
        ];
        let mut form: Vec<_> = good.into_iter().filter(|(it, _)| *it != name).collect();
        form.extend(self.secret.as_deref().map(|secret| ("client_secret", secret)));
        if !value.is_empty() {
            form.push((name, value));
        }
        self.browser().ask_token(&form, None).await
    }

    /// Tokens for somebody who signed in.
    async fn tokens(&self) -> Value {
        let answer = self.exchanges(&self.code().await).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }
}

#[tokio::test]
async fn people_sign_in_on_a_page_and_programs_get_tokens() {
    let world = World::start(StackOptions::default()).await;
    programs::the_server_says_where_everything_is(&world).await;
    programs::a_program_is_made_once_and_its_secret_is_shown_once(&world).await;
    programs::a_sign_in_gives_a_code_and_the_code_a_session_of_the_program(&world).await;
    programs::a_code_is_good_once_for_whom_it_was_given(&world).await;
    programs::fifty_exchanges_at_once_open_one_session(&world).await;
    programs::a_refresh_token_is_its_programs_own(&world).await;
    programs::a_program_acts_by_itself_within_its_scopes(&world).await;
    programs::a_program_that_is_deleted_is_let_in_nowhere(&world).await;

    page::it_is_shown_as_no_other_page_can_use_it(&world).await;
    page::it_speaks_both_languages(&world).await;
    page::who_is_wrong_is_told_no_more_than_that(&world).await;
    page::nobody_is_sent_where_the_program_did_not_say(&world).await;
    page::a_program_that_asks_wrongly_is_told_so(&world).await;
    page::whatever_is_sent_stays_text_and_the_state_comes_back_untouched(&world).await;
    page::a_form_of_another_page_is_not_taken(&world).await;
    page::who_declines_sends_no_code(&world).await;
    second_step::it_turns_a_second_factor_on_where_the_role_must_have_one(&world).await;
}
