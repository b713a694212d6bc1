//! What must hold for every request.

use proptest::prelude::*;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::signing::signer;
use super::*;

/// A path in its shortest form: what a URL can carry, percent signs and all.
fn path() -> impl Strategy<Value = String> {
    let segment = "[a-zA-Z0-9._~!$&'()*+,;=:@%-]{0,12}[a-zA-Z0-9%]";
    (prop::collection::vec(segment, 0..5), any::<bool>()).prop_map(|(segments, slash)| {
        let path = format!("/{}", segments.join("/"));
        if slash && path != "/" { path + "/" } else { path }
    })
}

/// Pairs of any text, encoded as forms do and as botocore does; and some that are hardly encoded.
fn query() -> impl Strategy<Value = String> {
    let pair = (any::<String>(), any::<String>(), any::<bool>()).prop_map(|(name, value, form)| {
        let encode = |text: &str| {
            let encoded = percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
            if form { encoded.replace("%20", "+") } else { encoded }
        };
        // An empty pair is nothing at all; a parameter of a signature would make it a presigned one.
        format!("q{}={}", encode(&name), encode(&value))
    });
    let raw = "[a-z]{1,3}(=[a-zA-Z0-9/?:@!$'()*,;+.~_-]{0,6})?";
    prop::collection::vec(prop_oneof![3 => pair, 1 => raw], 0..6).prop_map(|pairs| pairs.join("&"))
}

fn headers() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = "(x-amz-meta-|mcp-|x-)[a-z0-9]{1,8}|content-type|accept";
    prop::collection::vec((name, "[ -~é]{0,20}"), 0..6)
}

fn signed(method: &str, path: &str, query: &str, headers: &[(String, String)], body: &[u8], key: &str) -> Vector {
    let mark = if query.is_empty() { "" } else { "?" };
    let url: url::Url = format!("http://gateway.example:8081{path}{mark}{query}").parse().unwrap();
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        // Only ASCII can be signed.
        let value = value.replace('é', "e");
        map.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(&value).unwrap());
    }
    let outbound = Outbound { method, url: &url, headers: &map, body };
    let added = signer(key, "us-east-1", SERVICE).sign(&outbound, now()).unwrap();
    map.extend(added);
    Vector {
        name: url.to_string(),
        form: "header".into(),
        access_key_id: key.into(),
        method: method.into(),
        path: url.path().into(),
        query: url.query().unwrap_or_default().into(),
        authority: "gateway.example:8081".into(),
        headers: map.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect(),
        body: body.to_vec(),
        refused: None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Two implementations, theirs of the signing side and ours of the receiving one, write the same canonical request.
    #[test]
    fn what_is_signed_is_taken(
        method in "GET|PUT|POST|DELETE",
        path in path(),
        query in query(),
        headers in headers(),
        body in prop::collection::vec(any::<u8>(), 0..64),
        temporary in any::<bool>(),
    ) {
        let key = if temporary { "ASIAEXAMPLE" } else { "AKIDEXAMPLE" };
        let vector = signed(&method, &path, &query, &headers, &body, key);
        let verified = vector.verify();
        prop_assert!(verified.is_ok(), "{:?}: {:?}", vector, verified);
        let changed = vector.with(|vector| vector.path.push('x')).verify();
        prop_assert!(matches!(changed, Err(SigV4Error::Mismatch { .. })), "{:?}", changed);
    }

    /// Only the signed request itself comes through, never panics included.
    #[test]
    fn nothing_else_is_taken(authorization in any::<Vec<u8>>(), date in any::<Vec<u8>>(), text in ".{0,200}") {
        for authorization in [authorization, format!("AWS4-HMAC-SHA256 {text}").into_bytes()] {
            let vector = &accepted()[0];
            let headers = [("authorization", authorization.as_slice()), ("x-amz-date", date.as_slice())];
            let parts = RequestParts { headers, ..bare(vector) };
            prop_assert!(verify(&keys(), &Policy::default(), parts, now()).is_err());
        }
    }

    /// Credential, names and signature of any text, in both forms.
    #[test]
    fn nor_are_parts_of_any_text(
        credential in "[A-Z/0-9a-z_-]{0,40}|AKIDEXAMPLE/20260102/us-east-1/bedrock-agentcore/aws4_request|.{0,40}",
        names in "host;x-amz-date|[a-z;-]{0,20}|.{0,20}",
        signature in "[0-9a-f]{64}|.{0,70}",
        date in "20260102T030405Z|[0-9]{8}T[0-9]{6}Z|.{0,20}",
        expires in "[0-9]{1,25}|.{0,5}",
    ) {
        let vector = &accepted()[0];
        let authorization = format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}");
        let headers = [("authorization", authorization.as_bytes()), ("x-amz-date", date.as_bytes())];
        let parts = RequestParts { headers, ..bare(vector) };
        prop_assert!(verify(&keys(), &Policy::default(), parts, now()).is_err());

        let query = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={date}&X-Amz-Expires={expires}\
             &X-Amz-SignedHeaders={names}&X-Amz-Signature={signature}"
        );
        let parts = RequestParts { raw_query: &query, ..bare(vector) };
        prop_assert!(verify(&keys(), &Policy::default(), parts, now()).is_err());
    }
}

fn bare(vector: &Vector) -> RequestParts<'_, [(&str, &[u8]); 2]> {
    RequestParts {
        method: &vector.method,
        raw_path: &vector.path,
        raw_query: &vector.query,
        headers: [("accept", b"*/*"), ("x-a", b"")],
        authority: &vector.authority,
        body: &vector.body,
    }
}
