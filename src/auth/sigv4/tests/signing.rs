//! What the gateway signs is what botocore signs.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;
use url::Url;

use super::*;

pub(super) fn signer(access_key_id: &str, region: &str, service: &str) -> Signer {
    let key = file().keys.iter().find(|key| key.id == access_key_id).unwrap();
    let token = key.token.as_deref().map(SecretString::from);
    Signer::new(&key.id, &key.secret.as_str().into(), token.as_ref(), region, service)
}

fn header_map(headers: &[(String, String)]) -> HeaderMap {
    let pair = |(name, value): &(String, String)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    headers.iter().map(pair).collect()
}

fn texts(headers: &HeaderMap) -> std::collections::BTreeMap<String, String> {
    headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
}

#[test]
fn the_headers_are_those_of_botocore() {
    let sent = &file().outbound;
    assert!(sent.len() >= 5);
    for sent in sent {
        let url: Url = sent.url.parse().unwrap();
        assert_eq!(url.as_str(), sent.url, "the URL must survive parsing");
        let headers = header_map(&sent.headers);
        let outbound = Outbound { method: &sent.method, url: &url, headers: &headers, body: &sent.body };
        let signed = signer(&sent.access_key_id, "eu-west-1", &sent.service).sign(&outbound, now()).unwrap();
        assert_eq!(texts(&signed), sent.added, "{}", sent.name);
    }
}

#[test]
fn a_second_attempt_replaces_the_first() {
    let mut request = reqwest::Request::new(reqwest::Method::POST, "http://127.0.0.1:4566/a?b=c".parse().unwrap());
    *request.body_mut() = Some("body".into());
    request.headers_mut().insert("x-amz-invocation-type", HeaderValue::from_static("Event"));
    signer("ASIAEXAMPLE", "eu-west-1", "s3").apply(&mut request, now()).unwrap();
    assert!(request.headers().contains_key("x-amz-security-token"));
    // Other credentials, another service: nothing of the first is left.
    let signer = signer("AKIDEXAMPLE", "eu-west-1", "lambda");
    signer.apply(&mut request, now()).unwrap();
    let once = texts(request.headers());
    signer.apply(&mut request, now()).unwrap();
    assert_eq!(texts(request.headers()), once);
    assert_eq!(request.headers().len(), 3);
    assert!(once["authorization"].contains("SignedHeaders=host;x-amz-date;x-amz-invocation-type,"), "{once:?}");
}

#[test]
fn what_cannot_be_signed_is_said() {
    let url = "http://127.0.0.1:4566/".parse().unwrap();
    let headers: HeaderMap =
        [(HeaderName::from_static("x-note"), HeaderValue::from_bytes(b"\xff").unwrap())].into_iter().collect();
    let outbound = Outbound { method: "GET", url: &url, headers: &headers, body: b"" };
    let error = signer("AKIDEXAMPLE", "eu-west-1", "lambda").sign(&outbound, now()).unwrap_err();
    assert!(matches!(&error, SignError::Header(name) if name == "x-note"), "{error:?}");

    let mut request = reqwest::Request::new(reqwest::Method::POST, url);
    let stream = futures_util::stream::iter([Ok::<_, std::io::Error>("a")]);
    *request.body_mut() = Some(reqwest::Body::wrap_stream(stream));
    let error = signer("AKIDEXAMPLE", "eu-west-1", "lambda").apply(&mut request, now()).unwrap_err();
    assert!(matches!(error, SignError::Stream), "{error:?}");
}

#[test]
fn no_secret_is_shown() {
    let shown = format!("{:?}", signer("ASIAEXAMPLE", "eu-west-1", "lambda"));
    assert!(shown.contains("ASIAEXAMPLE") && !shown.contains("Session") && !shown.contains("token=="), "{shown}");
    let url = "http://127.0.0.1:4566/".parse().unwrap();
    let outbound = Outbound { method: "GET", url: &url, headers: &HeaderMap::new(), body: b"" };
    let signed = signer("ASIAEXAMPLE", "eu-west-1", "lambda").sign(&outbound, now()).unwrap();
    assert!(!format!("{signed:?}").contains("token=="), "{signed:?}");
}
