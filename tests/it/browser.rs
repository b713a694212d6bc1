//! What a browser lets a page do: `fetch` of another origin, by the rules of the Fetch standard (CORS protocol) for
//! requests without credentials. It knows nothing of the gateway.

use reqwest::header::HeaderMap;
use reqwest::{Method, Response};
use serde_json::Value;

/// Request headers that a page may send without asking first.
const SENT_FREELY: [&str; 3] = ["accept", "accept-language", "content-language"];
/// Response headers that a page sees without being told so.
const SEEN_FREELY: [&str; 7] =
    ["cache-control", "content-language", "content-length", "content-type", "expires", "last-modified", "pragma"];

/// A page of this origin.
pub struct Page {
    pub origin: &'static str,
    http: reqwest::Client,
}

/// What the page sees of an answer.
#[derive(Debug)]
pub struct Seen {
    pub status: u16,
    pub headers: HeaderMap,
    pub response: Response,
}

// === impl Page ===

impl Page {
    pub fn of(origin: &'static str) -> Self {
        Self { origin, http: reqwest::Client::builder().timeout(crate::client::LIMIT).build().unwrap() }
    }

    /// `fetch(url, {method, headers, body})`; the error is why the page sees nothing: a `TypeError` for it, the reason in the
    /// browser's console.
    pub async fn fetch(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Seen, String> {
        let names = headers.iter().map(|(name, _)| name.to_ascii_lowercase());
        let mut asks: Vec<String> = names.filter(|name| !SENT_FREELY.contains(&name.as_str())).collect();
        asks.sort();
        if !matches!(method, "GET" | "HEAD" | "POST") || !asks.is_empty() {
            self.ask(method, url, &asks).await?;
        }
        let mut request = self.http.request(method.parse::<Method>().unwrap(), url).header("origin", self.origin);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let response = request.send().await.unwrap();
        self.may_see(&response)?;
        let exposed = list(&response, "access-control-expose-headers");
        let all = exposed.iter().any(|name| name == "*");
        let mut headers = response.headers().clone();
        for name in response.headers().keys() {
            let name = name.as_str();
            if !SEEN_FREELY.contains(&name) && !exposed.iter().any(|exposed| exposed == name) && !all {
                headers.remove(name);
            }
        }
        Ok(Seen { status: response.status().as_u16(), headers, response })
    }

    /// The preflight request.
    async fn ask(&self, method: &str, url: &str, headers: &[String]) -> Result<(), String> {
        let answer = self.preflight(method, url, &headers.join(",")).await;
        self.may_see(&answer)?;
        if !answer.status().is_success() {
            return Err(format!("the preflight is answered with {}", answer.status()));
        }
        let methods = list(&answer, "access-control-allow-methods");
        let free = matches!(method, "GET" | "HEAD" | "POST");
        if !free && !methods.iter().any(|allowed| *allowed == method.to_ascii_lowercase() || allowed == "*") {
            return Err(format!("{method} is not allowed"));
        }
        let allowed = list(&answer, "access-control-allow-headers");
        let may = |name: &String| allowed.contains(name) || (name != "authorization" && allowed.contains(&"*".into()));
        match headers.iter().find(|name| !may(name)) {
            Some(name) => Err(format!("`{name}` is not allowed")),
            None => Ok(()),
        }
    }

    pub async fn preflight(&self, method: &str, url: &str, headers: &str) -> Response {
        let request = self.http.request(Method::OPTIONS, url).header("origin", self.origin);
        let request = request.header("access-control-request-method", method);
        let request =
            if headers.is_empty() { request } else { request.header("access-control-request-headers", headers) };
        request.send().await.unwrap()
    }

    fn may_see(&self, response: &Response) -> Result<(), String> {
        let mut allowed = response.headers().get_all("access-control-allow-origin").iter();
        match (allowed.next().map(|value| value.to_str().unwrap()), allowed.next()) {
            (Some(origin), None) if origin == "*" || origin == self.origin => Ok(()),
            (None, _) => Err(format!("no page may see this answer: {}", response.status())),
            other => Err(format!("{other:?} is not this page's origin")),
        }
    }
}

/// The words of a header, in lower case.
fn list(response: &Response, name: &str) -> Vec<String> {
    let values = response.headers().get_all(name).iter().flat_map(|value| value.to_str().unwrap().split(','));
    values.map(|word| word.trim().to_ascii_lowercase()).filter(|word| !word.is_empty()).collect()
}
