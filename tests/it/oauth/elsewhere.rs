//! Somebody's browser at an OpenID provider that is not ours: it keeps cookies, fills in the provider's own forms, and goes where it is sent, until that is back to us.

use reqwest::{Client, RequestBuilder, Url, redirect};

#[derive(Debug)]
pub(super) struct Elsewhere {
    client: Client,
    /// Path, name and value.
    cookies: Vec<(String, String, String)>,
}

/// A page there, or where it sends people to that is elsewhere.
enum Seen {
    Page(String),
    Left(String),
}

impl Elsewhere {
    pub(super) fn new() -> Self {
        let client = Client::builder().no_proxy().redirect(redirect::Policy::none());
        Self { client: client.build().unwrap(), cookies: Vec::new() }
    }

    /// Signs in there by that name, and allows what is asked for; where that leads.
    pub(super) async fn signs_in(&mut self, address: &str, name: &str) -> String {
        let mut url = Url::parse(address).unwrap();
        let mut seen = self.follow(&mut url, None).await;
        for _ in 0..4 {
            let page = match seen {
                Seen::Left(location) => return location,
                Seen::Page(page) => page,
            };
            let action = between(&page, "action=\"", "\"");
            let prompt = between(&page, "name=\"prompt\" value=\"", "\"");
            url = url.join(&action).unwrap();
            let fields = [("prompt", &*prompt), ("login", name), ("password", "any")];
            seen = self.follow(&mut url, Some(&fields)).await;
        }
        panic!("the provider asks without end")
    }

    /// Changes their mind there.
    pub(super) async fn cancels(&mut self, address: &str) -> String {
        let mut url = Url::parse(address).unwrap();
        let Seen::Page(page) = self.follow(&mut url, None).await else { panic!("no page") };
        let action = between(&page, "action=\"", "\"");
        url = url.join(&format!("{action}/abort")).unwrap();
        match self.follow(&mut url, None).await {
            Seen::Left(location) => location,
            Seen::Page(page) => panic!("{page}"),
        }
    }

    async fn follow(&mut self, url: &mut Url, form: Option<&[(&str, &str)]>) -> Seen {
        let origin = url.origin();
        let mut request = match form {
            Some(fields) => self.client.post(url.clone()).form(fields),
            None => self.client.get(url.clone()),
        };
        for _ in 0..8 {
            let answer = self.with_cookies(request, url).send().await.unwrap();
            for cookie in answer.headers().get_all("set-cookie") {
                self.keep(cookie.to_str().unwrap());
            }
            let Some(location) = answer.headers().get("location") else {
                assert_eq!(answer.status(), 200, "{url}");
                return Seen::Page(answer.text().await.unwrap());
            };
            *url = url.join(location.to_str().unwrap()).unwrap();
            if url.origin() != origin {
                return Seen::Left(url.to_string());
            }
            request = self.client.get(url.clone());
        }
        panic!("the provider sends people around without end")
    }

    fn with_cookies(&self, request: RequestBuilder, url: &Url) -> RequestBuilder {
        let own = self.cookies.iter().filter(|(path, ..)| url.path().starts_with(path));
        let own: Vec<_> = own.map(|(_, name, value)| format!("{name}={value}")).collect();
        request.header("cookie", own.join("; "))
    }

    fn keep(&mut self, cookie: &str) {
        let mut parts = cookie.split(';').map(str::trim);
        let (name, value) = parts.next().unwrap().split_once('=').unwrap();
        let path = parts.find_map(|part| {
            part.to_lowercase().strip_prefix("path=").map(|_| part[5..].to_owned())
        });
        let path = path.unwrap_or_else(|| "/".to_owned());
        self.cookies.retain(|(its_path, its_name, _)| (its_path, &**its_name) != (&path, name));
        if !value.is_empty() {
            self.cookies.push((path, name.to_owned(), value.to_owned()));
        }
    }
}

fn between(text: &str, before: &str, after: &str) -> String {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("{before} is not in {text}"));
    rest.split(after).next().unwrap().to_owned()
}
