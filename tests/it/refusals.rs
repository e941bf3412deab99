//! Whatever is refused, is refused as the OpenAPI document says: held of every answer that a test of this binary gets.

use reqwest::{Client, Method, Url};
use serde_json::Value;
use tokio::sync::OnceCell;

/// The document, asked for once.
static DOCUMENT: OnceCell<Value> = OnceCell::const_new();

/// Panics where an operation refused something with a status or a code that the document does not tell of it.
pub(crate) async fn hold(client: &Client, method: &Method, url: &Url, status: u16, body: &Value) {
    // That there is no such method, or too much before the body, is said before it is known which operation is meant.
    if status < 400 || [405, 431].contains(&status) {
        return;
    }
    let document = DOCUMENT.get_or_try_init(|| async {
        let url = url.join("/openapi.json").unwrap();
        client.get(url).send().await?.json::<Value>().await
    });
    // Whoever is being stopped does not say any more.
    let Ok(document) = document.await else { return };
    let Some(operation) = operation(document, method, url.path()) else { return };
    let code = body["code"].as_str().or(body["error"].as_str()).unwrap_or_default();
    let said = response(document, &operation["responses"][status.to_string()]);
    let told = said["description"].as_str().unwrap_or_default();
    assert!(
        told.contains(&format!("\n- `{code}`: ")),
        "the document does not tell that `{}` may answer {status} `{code}`: {body}",
        operation["operationId"].as_str().unwrap_or_default(),
    );
}

/// The operation at a path; a word of the template is nearer than a parameter.
fn operation<'a>(document: &'a Value, method: &Method, path: &str) -> Option<&'a Value> {
    let method = method.as_str().to_lowercase();
    let paths = document["paths"].as_object()?.iter();
    let fits = paths.filter(|(template, _)| {
        let (mut wanted, mut found) = (template.split('/'), path.split('/'));
        loop {
            match (wanted.next(), found.next()) {
                (None, None) => return true,
                (Some(one), Some(_)) if one.starts_with('{') => {}
                (Some(one), Some(other)) if one == other => {}
                _ => return false,
            }
        }
    });
    let (_, item) = fits.min_by_key(|(template, _)| template.matches('{').count())?;
    item.get(&method)
}

fn response<'a>(document: &'a Value, response: &'a Value) -> &'a Value {
    let place = response["$ref"].as_str().and_then(|it| it.strip_prefix('#'));
    place.and_then(|place| document.pointer(place)).unwrap_or(response)
}
