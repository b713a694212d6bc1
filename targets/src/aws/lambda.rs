//! Invoking a function (Lambda API 2015-03-31, `Invoke`), and waiting for what it says.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use sessiongate_protocol::text::short;
use url::Url;

use super::keys::{Caller, KeyError};
use super::signer::SignError;
use crate::outbound::{Answer, FetchError, Outbound, Route};

/// Invokes functions: through the service, through what the host map puts in its place, or under a URL of their own
/// that takes the same JSON without a signature. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LambdaInvoker {
    outbound: Outbound,
    caller: Caller,
}

/// The ARN of a function, with or without a version or alias.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct LambdaArn {
    text: Box<str>,
    region: std::ops::Range<usize>,
}

/// It is not the ARN of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not the ARN of a function: arn:aws:lambda:{{region}}:{{account}}:function:{{name}}")]
pub struct NotAnArn;

/// What a function is asked.
#[derive(Clone, Copy, Debug)]
pub struct Invocation<'a> {
    /// Which.
    pub function: &'a LambdaArn,
    /// JSON: its event.
    pub payload: &'a Bytes,
    /// JSON: what it finds as its context's client context (`{"custom": {…}}`).
    pub client_context: Option<&'a [u8]>,
    /// For everything: to connect, to run, to answer.
    pub deadline: Duration,
}

/// Why there is no result. Displayed texts name no address; [`InvokeError::detail`] is for the log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvokeError {
    /// Nothing to sign with.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// More than a function can be given.
    #[error("the input has {size} bytes, and a function takes {PAYLOAD_LIMIT}")]
    PayloadTooLarge {
        /// How many.
        size: usize,
    },
    /// More than the service takes.
    #[error("the client context has {size} bytes in base64, and a function takes {CLIENT_CONTEXT_LIMIT}")]
    ClientContextTooLarge {
        /// How many.
        size: usize,
    },
    /// It could not be signed.
    #[error("the request could not be signed")]
    Sign(#[from] SignError),
    /// There was no whole answer.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The service, or the hook, refused.
    #[error("the function could not be invoked: HTTP {status}")]
    Refused {
        /// The status.
        status: u16,
        /// The service's word. What else it says may quote the input.
        error_type: Option<String>,
    },
    /// The function ran, and failed.
    #[error("the function failed ({kind})")]
    Function {
        /// `Handled` (its own error) or `Unhandled` (a crash, a time-out).
        kind: Box<str>,
        /// The class of what it threw.
        error_type: Option<String>,
        /// The start of what it said: for whoever may see what is behind the gateway. It may quote the input.
        message: Option<String>,
    },
}

/// What Lambda takes and gives in a synchronous invocation: 6 MB and a little for the envelope.
pub const PAYLOAD_LIMIT: usize = 6_291_556;
/// What Lambda takes as client context, in base64.
pub const CLIENT_CONTEXT_LIMIT: usize = 3583;

/// A segment of a path: all but unreserved characters.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const INVOCATION_TYPE: HeaderName = HeaderName::from_static("x-amz-invocation-type");
const CLIENT_CONTEXT: HeaderName = HeaderName::from_static("x-amz-client-context");
const FUNCTION_ERROR: &str = "x-amz-function-error";
const ERROR_TYPE: &str = "x-amzn-errortype";
/// The most that is kept of what a function that failed said, in characters.
const MESSAGE: usize = 256;
/// What a function that failed says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    error_message: Option<String>,
    error_type: Option<String>,
}

// === impl LambdaInvoker ===

impl LambdaInvoker {
    /// Invokes as `caller`.
    pub fn new(outbound: Outbound, caller: Caller) -> Self {
        Self { outbound, caller }
    }

    /// Invokes a function and waits for its result, which is JSON.
    ///
    /// # Errors
    /// See [`InvokeError`]. After a [`FetchError`] the function may have run.
    pub async fn invoke(&self, invocation: &Invocation<'_>) -> Result<Bytes, InvokeError> {
        // The key may have to be fetched first.
        match tokio::time::timeout(invocation.deadline, self.ask(invocation)).await {
            Ok(result) => result,
            Err(_) => Err(FetchError::TimedOut(invocation.deadline).into()),
        }
    }

    async fn ask(&self, invocation: &Invocation<'_>) -> Result<Bytes, InvokeError> {
        let headers = headers(invocation.client_context)?;
        check_size(invocation.payload)?;
        if let Some(url) = self.outbound.hosts().function(invocation.function) {
            // Without a signature, and still by a caller that may.
            self.caller.may_call()?;
            return send(&self.outbound.trusted(url), headers, invocation, |_| Ok(())).await;
        }
        let signer = self.caller.signer(invocation.function.region(), "lambda").await?;
        let route = self.outbound.route_signed(&invocation.function.url()?)?;
        send(&route, headers, invocation, |request| Ok(signer.apply(request, SystemTime::now())?)).await
    }

    /// Whether a function could be invoked, as far as that is known without asking anybody.
    ///
    /// # Errors
    /// See [`Caller::has_key`]. A function with a URL of its own needs no key.
    pub fn has_key(&self, function: &LambdaArn) -> Result<(), KeyError> {
        match self.outbound.hosts().function(function) {
            Some(_) => self.caller.may_call(),
            None => self.caller.has_key(),
        }
    }

    /// Asks a hook of the operator's: the same JSON, in an ordinary POST without a signature. It has not Lambda's bounds:
    /// it is given what the caller chose, and may answer with that and [`PAYLOAD_LIMIT`] bytes more.
    ///
    /// # Errors
    /// See [`InvokeError`].
    pub async fn post(&self, url: &Url, payload: &Bytes, deadline: Duration) -> Result<Bytes, InvokeError> {
        let route = self.outbound.trusted(url);
        let mut request = route.request(Method::POST);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(payload.clone().into());
        read(route.send(request, payload.len() + PAYLOAD_LIMIT, deadline).await?)
    }
}

fn headers(client_context: Option<&[u8]>) -> Result<HeaderMap, InvokeError> {
    let mut headers = HeaderMap::new();
    headers.insert(INVOCATION_TYPE, HeaderValue::from_static("RequestResponse"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(context) = client_context {
        let text = STANDARD.encode(context);
        if text.len() > CLIENT_CONTEXT_LIMIT {
            return Err(InvokeError::ClientContextTooLarge { size: text.len() });
        }
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(CLIENT_CONTEXT, value);
        }
    }
    Ok(headers)
}

fn check_size(payload: &Bytes) -> Result<(), InvokeError> {
    if payload.len() > PAYLOAD_LIMIT {
        return Err(InvokeError::PayloadTooLarge { size: payload.len() });
    }
    Ok(())
}

async fn send(
    route: &Route,
    headers: HeaderMap,
    invocation: &Invocation<'_>,
    sign: impl FnOnce(&mut reqwest::Request) -> Result<(), InvokeError>,
) -> Result<Bytes, InvokeError> {
    let mut request = route.request(Method::POST);
    *request.headers_mut() = headers;
    *request.body_mut() = Some(invocation.payload.clone().into());
    sign(&mut request)?;
    read(route.send(request, PAYLOAD_LIMIT, invocation.deadline).await?)
}

fn read(answer: Answer) -> Result<Bytes, InvokeError> {
    let word = |name: &str| Some(short(answer.headers.get(name)?.to_str().ok()?).into_owned());
    if !(200..300).contains(&answer.status) {
        return Err(InvokeError::Refused { status: answer.status, error_type: word(ERROR_TYPE) });
    }
    if let Some(kind) = word(FUNCTION_ERROR) {
        let said = serde_json::from_slice::<Failure>(&answer.body).ok();
        let (message, error_type) = said.map(|said| (said.error_message, said.error_type)).unwrap_or_default();
        let error_type = error_type.map(|text| short(&text).into_owned());
        let message = message.map(|text| text.chars().take(MESSAGE).collect());
        return Err(InvokeError::Function { kind: kind.into(), error_type, message });
    }
    Ok(answer.body)
}

// === impl LambdaArn ===

impl LambdaArn {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where the function is.
    pub fn region(&self) -> &str {
        &self.text[self.region.clone()]
    }

    /// The public URL of its invocations.
    fn url(&self) -> Result<Url, FetchError> {
        let cloud = if self.text.starts_with("arn:aws-cn:") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let function = utf8_percent_encode(&self.text, SEGMENT);
        let text = format!("https://lambda.{}.{cloud}/2015-03-31/functions/{function}/invocations", self.region());
        Url::parse(&text).map_err(|error| FetchError::AddressRefused { detail: error.to_string() })
    }
}

impl FromStr for LambdaArn {
    type Err = NotAnArn;

    fn from_str(text: &str) -> Result<Self, NotAnArn> {
        let parts: Vec<&str> = text.split(':').collect();
        let (partition, region, account, name, version) = match parts[..] {
            ["arn", partition, "lambda", region, account, "function", name] => (partition, region, account, name, None),
            ["arn", partition, "lambda", region, account, "function", name, version] => {
                (partition, region, account, name, Some(version))
            }
            _ => return Err(NotAnArn),
        };
        let word = |text: &str, extra: &[u8]| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || extra.contains(&byte))
        };
        let good = (partition == "aws" || partition.starts_with("aws-") && word(partition, b"-"))
            && (1..=32).contains(&region.len())
            && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && account.len() == 12
            && account.bytes().all(|byte| byte.is_ascii_digit())
            && name.len() <= 140
            && word(name, b"-_.")
            && version.is_none_or(|version| version == "$LATEST" || version.len() <= 128 && word(version, b"-_"));
        let start = "arn:".len() + partition.len() + ":lambda:".len();
        match good {
            true => Ok(Self { text: text.into(), region: start..start + region.len() }),
            false => Err(NotAnArn),
        }
    }
}

impl fmt::Display for LambdaArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for LambdaArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

// === impl InvokeError ===

impl InvokeError {
    /// What happened, for the operator: it may name addresses. What the function said is not in it, which may hold what it
    /// was given.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Fetch(error) => error.detail().map(str::to_owned),
            Self::Refused { error_type, .. } | Self::Function { error_type, .. } => error_type.clone(),
            Self::Sign(error) => Some(error.to_string()),
            Self::Key(error) => error.detail(),
            _ => None,
        }
    }

    /// It took longer than it may.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Fetch(FetchError::TimedOut(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::AwsIdentity;
    use crate::host_map::HostMap;
    use crate::http::HttpOptions;

    const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:check-1_a";

    #[test]
    fn an_arn_names_one_function() {
        for good in [ARN, &format!("{ARN}:PROD"), &format!("{ARN}:$LATEST"), &ARN.replace("aws:l", "aws-us-gov:l")] {
            let arn: LambdaArn = good.parse().unwrap();
            assert_eq!((arn.region(), arn.as_str()), ("eu-west-1", good));
        }
        let url = format!("{ARN}:PROD").parse::<LambdaArn>().unwrap().url().unwrap();
        assert_eq!(
            url.as_str(),
            "https://lambda.eu-west-1.amazonaws.com/2015-03-31/functions/\
             arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Acheck-1_a%3APROD/invocations"
        );
        let china = ARN.replace("aws:", "aws-cn:").replace("eu-west-1", "cn-north-1").parse::<LambdaArn>().unwrap();
        assert_eq!(china.url().unwrap().host_str(), Some("lambda.cn-north-1.amazonaws.com.cn"));
        for bad in [
            "",
            "check",
            "arn:aws:s3:::bucket",
            &ARN.replace("eu-west-1", ""),
            &ARN.replace("eu-west-1", "a.example/"),
            &ARN.replace("eu-west-1", "EU"),
            &ARN.replace("123456789012", "12345678901x"),
            &ARN.replace("function", "layer"),
            &format!("{ARN}/.."),
            &format!("{ARN}:a:b"),
            &format!("{ARN}:"),
        ] {
            assert_eq!(bad.parse::<LambdaArn>(), Err(NotAnArn), "{bad}");
        }
    }

    #[test]
    fn answers_are_results_failures_or_refusals() {
        let answer = |status, headers: &[(&'static str, &'static str)], body: &'static str| Answer {
            status,
            headers: headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect(),
            body: Bytes::from_static(body.as_bytes()),
        };
        assert_eq!(read(answer(200, &[], "{}")).unwrap(), "{}");
        let error = read(answer(200, &[(FUNCTION_ERROR, "Unhandled")], r#"{"errorMessage":"m","errorType":"T"}"#));
        let error = error.unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.detail().as_deref()),
            ("the function failed (Unhandled)", Some("T"))
        );
        let (message, kind) = ("m".repeat(3_000_000), "T".repeat(3_000_000));
        let body = serde_json::json!({"errorMessage": message, "errorType": kind}).to_string();
        let failed = [(FUNCTION_ERROR, "Unhandled")];
        let Err(InvokeError::Function { message: Some(message), error_type, .. }) =
            read(answer(200, &failed, body.leak()))
        else {
            panic!("no failure of the function");
        };
        assert!(message.len() == MESSAGE && error_type.unwrap().len() < 200);
        let error = read(answer(200, &[(FUNCTION_ERROR, "Handled")], "not json")).unwrap_err();
        assert!(matches!(error, InvokeError::Function { message: None, .. }), "{error:?}");
        let error = read(answer(404, &[(ERROR_TYPE, "ResourceNotFoundException")], "secret path")).unwrap_err();
        assert_eq!(error.to_string(), "the function could not be invoked: HTTP 404");
        assert_eq!(error.detail().as_deref(), Some("ResourceNotFoundException"), "and not what it quotes");
        assert_eq!(read(answer(500, &[], "secret")).unwrap_err().detail(), None);
        assert!(read(answer(302, &[], "")).is_err());
    }

    #[tokio::test]
    async fn what_cannot_be_sent_is_said_before_anything_is() {
        let invoker = |identity| {
            let outbound = Outbound::new(HttpOptions::default(), HostMap::default()).unwrap();
            LambdaInvoker::new(outbound, Caller::own(identity))
        };
        let function = ARN.parse().unwrap();
        let payload = Bytes::from_static(b"{}");
        let invocation = Invocation {
            function: &function,
            payload: &payload,
            client_context: None,
            deadline: Duration::from_secs(1),
        };
        let error = invoker(AwsIdentity::default()).invoke(&invocation).await.unwrap_err();
        assert!(
            matches!(error, InvokeError::Key(KeyError::NoCredentials))
                && error.to_string().contains("AWS_ACCESS_KEY_ID")
        );
        let key = |_: &str| Some("AKID".to_owned());
        let invoker = invoker(AwsIdentity::from_env(key));
        let large = Bytes::from(vec![b' '; PAYLOAD_LIMIT + 1]);
        let error = invoker.invoke(&Invocation { payload: &large, ..invocation }).await.unwrap_err();
        assert!(matches!(error, InvokeError::PayloadTooLarge { size } if size == PAYLOAD_LIMIT + 1), "{error}");
        let context = [b' '; 2688];
        let error = invoker.invoke(&Invocation { client_context: Some(&context), ..invocation }).await.unwrap_err();
        assert!(matches!(error, InvokeError::ClientContextTooLarge { size: 3584 }), "{error}");
        assert!(headers(Some(&context[..2685])).is_ok());
    }
}
