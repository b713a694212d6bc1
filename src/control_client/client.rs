//! The operations.

use std::time::{Duration, SystemTime};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use url::Url;
use uuid::Uuid;

use super::access::Access;
use super::error::{ControlClientError, Refusal};
use crate::auth::sigv4::{SERVICE, Signer};

/// Members of a request, by their names in the API.
pub type Members = Map<String, Value>;

/// To connect.
const CONNECT: Duration = Duration::from_secs(5);
/// For one request: nothing is carried out while the answer is waited for.
const REQUEST: Duration = Duration::from_secs(30);
/// The largest answer: a page of targets, or a target with a large schema.
const MAX_ANSWER: usize = 64 << 20;
/// Items of a page.
const PAGE: usize = 100;
/// Pages of a list, so that a server which repeats itself comes to an end.
const MAX_PAGES: usize = 10_000;
/// How often a request is sent while the answer is that there were too many.
const ATTEMPTS: u32 = 6;
/// The first pause between them; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(200);
/// What is not encoded within one segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Asks one control plane. Clones share connections.
#[derive(Clone, Debug)]
pub struct ControlClient {
    endpoint: Url,
    http: reqwest::Client,
    signer: Signer,
}

/// An object of the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A gateway, by its id or ARN.
    Gateway(String),
    /// A target.
    Target {
        /// Id or ARN of its gateway.
        gateway: String,
        /// Its own id.
        id: String,
    },
}

// === impl ControlClient ===

impl ControlClient {
    /// # Errors
    /// [`ControlClientError::Unreachable`] where there can be no HTTP client.
    pub fn new(access: &Access) -> Result<Self, ControlClientError> {
        let mut http = reqwest::Client::builder()
            // The signature is for this URL and no other.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("sessiongate/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .timeout(REQUEST);
        if is_loopback(&access.endpoint) {
            // A proxy has another loopback.
            http = http.no_proxy();
        }
        let http = http.build().map_err(|error| ControlClientError::broken(&access.endpoint, &error))?;
        let secret = SecretString::from(access.secret.expose().to_owned());
        let token = access.session_token.as_ref().map(|token| SecretString::from(token.expose().to_owned()));
        let signer = Signer::new(&access.access_key_id, &secret, token.as_ref(), &access.region, SERVICE);
        Ok(Self { endpoint: access.endpoint.clone(), http, signer })
    }

    /// CreateGateway. A `clientToken` is added.
    ///
    /// # Errors
    /// What the control plane answers, or that it does not.
    pub async fn create_gateway(&self, members: &Members) -> Result<Value, ControlClientError> {
        self.create("/gateways/", members).await
    }

    /// CreateGatewayTarget. A `clientToken` is added.
    ///
    /// # Errors
    /// What the control plane answers, or that it does not.
    pub async fn create_target(&self, gateway: &str, members: &Members) -> Result<Value, ControlClientError> {
        self.create(&format!("/gateways/{}/targets/", encoded(gateway)), members).await
    }

    /// GetGateway or GetGatewayTarget.
    ///
    /// # Errors
    /// What the control plane answers, or that it does not.
    pub async fn get(&self, resource: &Resource) -> Result<Value, ControlClientError> {
        self.send(Method::GET, &resource.path(), &[], None).await
    }

    /// UpdateGateway or UpdateGatewayTarget: a member that is not there is one that the object shall not have.
    ///
    /// # Errors
    /// What the control plane answers, or that it does not.
    pub async fn update(&self, resource: &Resource, members: &Members) -> Result<Value, ControlClientError> {
        self.send(Method::PUT, &resource.path(), &[], Some(&json!(members))).await
    }

    /// DeleteGateway or DeleteGatewayTarget.
    ///
    /// # Errors
    /// What the control plane answers, or that it does not.
    pub async fn delete(&self, resource: &Resource) -> Result<Value, ControlClientError> {
        self.send(Method::DELETE, &resource.path(), &[], None).await
    }

    /// ListGateways, all pages.
    ///
    /// # Errors
    /// What the control plane answers, or that it does not.
    pub async fn gateways(&self) -> Result<Vec<Value>, ControlClientError> {
        self.pages("/gateways/").await
    }

    /// ListGatewayTargets, all pages.
    ///
    /// # Errors
    /// What the control plane answers, or that it does not.
    pub async fn targets(&self, gateway: &str) -> Result<Vec<Value>, ControlClientError> {
        self.pages(&format!("/gateways/{}/targets/", encoded(gateway))).await
    }

    /// SynchronizeGatewayTargets for one target, which is in the answer.
    ///
    /// # Errors
    /// What the control plane answers, or that it does not.
    pub async fn synchronize(&self, gateway: &str, target: &str) -> Result<Value, ControlClientError> {
        let path = format!("/gateways/{}/synchronizeTargets", encoded(gateway));
        let mut answer = self.send(Method::PUT, &path, &[], Some(&json!({"targetIdList": [target]}))).await?;
        match answer["targets"].get_mut(0) {
            Some(target) => Ok(target.take()),
            None => Err(self.foreign("its answer has no target")),
        }
    }

    /// ListTagsForResource.
    ///
    /// # Errors
    /// What the control plane answers, or that it does not.
    pub async fn tags(&self, arn: &str) -> Result<Value, ControlClientError> {
        let mut answer = self.send(Method::GET, &format!("/tags/{}", encoded(arn)), &[], None).await?;
        Ok(answer["tags"].take())
    }

    /// TagResource: adds tags, or gives them other values.
    ///
    /// # Errors
    /// What the control plane answers, or that it does not.
    pub async fn tag(&self, arn: &str, tags: &Members) -> Result<(), ControlClientError> {
        let body = json!({"tags": tags});
        self.send(Method::POST, &format!("/tags/{}", encoded(arn)), &[], Some(&body)).await.map(drop)
    }

    async fn create(&self, path: &str, members: &Members) -> Result<Value, ControlClientError> {
        let mut body = members.clone();
        // The second of two equal requests that an impatient connection sends finds the first one's object.
        body.entry("clientToken").or_insert_with(|| json!(Uuid::new_v4().to_string()));
        self.send(Method::POST, path, &[], Some(&Value::Object(body))).await
    }

    async fn pages(&self, path: &str) -> Result<Vec<Value>, ControlClientError> {
        let mut items = Vec::new();
        let mut query = vec![("maxResults", PAGE.to_string())];
        for _ in 0..MAX_PAGES {
            let mut page = self.send(Method::GET, path, &query, None).await?;
            match page["items"].take() {
                Value::Array(more) => items.extend(more),
                _ => return Err(self.foreign("a list has no items")),
            }
            let Some(next) = page["nextToken"].as_str() else { return Ok(items) };
            query.truncate(1);
            query.push(("nextToken", next.to_owned()));
        }
        Err(self.foreign("a list does not end"))
    }

    /// Sends a request, again after a pause while there are too many. Each attempt is signed anew.
    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<Value, ControlClientError> {
        let mut url = self.endpoint.clone();
        url.set_path(&format!("{}{path}", self.endpoint.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut pause = PAUSE;
        for _ in 1..ATTEMPTS {
            match self.attempt(&method, &url, body).await {
                Err(error) if error.is_throttling() => tokio::time::sleep(pause).await,
                done => return done,
            }
            pause *= 2;
        }
        self.attempt(&method, &url, body).await
    }

    async fn attempt(&self, method: &Method, url: &Url, body: Option<&Value>) -> Result<Value, ControlClientError> {
        let broken = |error: reqwest::Error| ControlClientError::broken(&self.endpoint, &error);
        let mut request = self.http.request(method.clone(), url.clone());
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(body.to_string());
        }
        let mut request = request.build().map_err(broken)?;
        self.signer.apply(&mut request, SystemTime::now())?;
        let mut response = self.http.execute(request).await.map_err(broken)?;
        let status = response.status();
        let header = response.headers().get("x-amzn-errortype").and_then(|value| value.to_str().ok());
        let error_type = header.map(str::to_owned);
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(broken)? {
            if bytes.len() + piece.len() > MAX_ANSWER {
                return Err(self.foreign("its answer is too large"));
            }
            bytes.extend_from_slice(&piece);
        }
        let answer: Result<Value, _> = if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&bytes) };
        if status.is_success() {
            return answer.map_err(|_| self.foreign("its answer is not JSON"));
        }
        let refusal = Refusal::read(status.as_u16(), error_type.as_deref(), &answer.unwrap_or_default());
        match refusal {
            Some(refusal) => Err(ControlClientError::Refused(Box::new(refusal))),
            None => Err(self.foreign(&format!("it answers {status}"))),
        }
    }

    pub(super) fn foreign(&self, reason: &str) -> ControlClientError {
        ControlClientError::Foreign { url: self.endpoint.to_string(), reason: reason.to_owned() }
    }
}

// === impl Resource ===

impl Resource {
    fn path(&self) -> String {
        match self {
            Self::Gateway(gateway) => format!("/gateways/{}/", encoded(gateway)),
            Self::Target { gateway, id } => format!("/gateways/{}/targets/{}/", encoded(gateway), encoded(id)),
        }
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_is_one_segment() {
        let arn = "arn:aws:bedrock-agentcore:us-east-1:123456789012:gateway/shop-0123456789";
        let path = Resource::Gateway(arn.to_owned()).path();
        assert_eq!(path.matches('/').count(), 3, "{path}");
        assert!(path.contains("%3Agateway%2Fshop-0123456789"), "{path}");
    }
}
