//! Reading an object (S3 `GetObject`): schemas that are too large for a request.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Method;
use http::header::{HeaderName, HeaderValue};
use url::Url;

use super::keys::{Caller, KeyError};
use super::region::{is_region, service_url};
use super::signer::{SignError, encode_path};
use crate::outbound::{Answer, FetchError, Outbound};

/// Reads objects, as one caller. Cheap to clone.
#[derive(Clone, Debug)]
pub struct S3Reader {
    outbound: Outbound,
    caller: Caller,
}

/// `s3://bucket/key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectUri {
    bucket: Box<str>,
    key: Box<str>,
}

/// It is not the URI of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not the URI of an object: s3://{{bucket}}/{{key}}, without `.` and `..` between slashes")]
pub struct NotAnObject;

/// Why an object could not be read. Displayed texts name no address; [`ObjectError::detail`] is for the log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// Nothing to sign with.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It could not be signed.
    #[error("the request could not be signed")]
    Sign(#[from] SignError),
    /// There was no whole answer, or more than may be read.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// There is no such bucket, or no such object.
    #[error("there is no such object")]
    NotFound,
    /// The caller's credentials do not open it, or its bucket belongs to another account than was said.
    #[error("the gateway may not read it, or the bucket belongs to another account")]
    Denied {
        /// For the log.
        detail: String,
    },
    /// Another answer.
    #[error("the object store answered HTTP {status}")]
    Status {
        /// The status.
        status: u16,
        /// For the log.
        detail: String,
    },
}

const EXPECTED_OWNER: HeaderName = HeaderName::from_static("x-amz-expected-bucket-owner");
const BUCKET_REGION: &str = "x-amz-bucket-region";
/// The most of an answer that goes to the log.
const LOGGED: usize = 512;

// === impl S3Reader ===

impl S3Reader {
    /// Reads as `caller`.
    pub fn new(outbound: Outbound, caller: Caller) -> Self {
        Self { outbound, caller }
    }

    /// Reads an object of at most `limit` bytes. `owner` is the account that the bucket must belong to. A bucket in
    /// another region than the gateway's is found where S3 says that it is.
    ///
    /// # Errors
    /// See [`ObjectError`].
    pub async fn fetch_object(
        &self,
        object: &ObjectUri,
        owner: Option<&str>,
        limit: usize,
        deadline: Duration,
    ) -> Result<Bytes, ObjectError> {
        let whole = async {
            let mut answer = self.get(object, owner, self.caller.region(), limit, deadline).await?;
            if let Some(region) = elsewhere(&answer, self.caller.region()) {
                answer = self.get(object, owner, &region, limit, deadline).await?;
            }
            read(answer)
        };
        match tokio::time::timeout(deadline, whole).await {
            Ok(result) => result,
            Err(_) => Err(FetchError::TimedOut(deadline).into()),
        }
    }

    async fn get(
        &self,
        object: &ObjectUri,
        owner: Option<&str>,
        region: &str,
        limit: usize,
        deadline: Duration,
    ) -> Result<Answer, ObjectError> {
        let signer = self.caller.signer(region, "s3").await?;
        let route = self.outbound.route_signed(&object.url(region)?)?;
        let mut request = route.request(Method::GET);
        if let Some(owner) = owner.and_then(|owner| HeaderValue::from_str(owner).ok()) {
            request.headers_mut().insert(EXPECTED_OWNER, owner);
        }
        signer.apply(&mut request, SystemTime::now())?;
        Ok(route.send(request, limit, deadline).await?)
    }
}

/// The region that S3 names where a bucket is asked for in the wrong one.
fn elsewhere(answer: &Answer, asked: &str) -> Option<String> {
    let wrong = matches!(answer.status, 301 | 307 | 400);
    let region = answer.headers.get(BUCKET_REGION)?.to_str().ok().filter(|region| wrong && *region != asked)?;
    is_region(region).then(|| region.to_owned())
}

fn read(answer: Answer) -> Result<Bytes, ObjectError> {
    let status = answer.status;
    if status == 200 {
        return Ok(answer.body);
    }
    let detail = || String::from_utf8_lossy(&answer.body[..answer.body.len().min(LOGGED)]).into_owned();
    Err(match status {
        404 => ObjectError::NotFound,
        401 | 403 => ObjectError::Denied { detail: detail() },
        _ => ObjectError::Status { status, detail: detail() },
    })
}

// === impl ObjectUri ===

impl ObjectUri {
    /// In path style, which every implementation understands and whose host can be mapped.
    fn url(&self, region: &str) -> Result<Url, FetchError> {
        service_url("s3", region, &format!("{}/{}", self.bucket, encode_path(&self.key)))
    }
}

impl FromStr for ObjectUri {
    type Err = NotAnObject;

    fn from_str(text: &str) -> Result<Self, NotAnObject> {
        let (bucket, key) = text.strip_prefix("s3://").and_then(|rest| rest.split_once('/')).ok_or(NotAnObject)?;
        let named = (3..=63).contains(&bucket.len())
            && bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
            && !bucket.starts_with('.');
        // A URL would be shortened, and lead to another object or another bucket.
        let straight = !key.split('/').any(|part| matches!(part, "." | ".."));
        match named && straight && (1..=1024).contains(&key.len()) {
            true => Ok(Self { bucket: bucket.into(), key: key.into() }),
            false => Err(NotAnObject),
        }
    }
}

impl fmt::Display for ObjectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

// === impl ObjectError ===

impl ObjectError {
    /// What happened, for the operator: it may name addresses.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Fetch(error) => error.detail().map(str::to_owned),
            Self::Sign(error) => Some(error.to_string()),
            Self::Denied { detail } | Self::Status { detail, .. } => Some(detail.clone()),
            Self::Key(error) => error.detail(),
            Self::NotFound => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn a_uri_leads_to_one_object_in_one_bucket() {
        let url = |uri: &str| uri.parse::<ObjectUri>().unwrap().url("eu-west-1").unwrap().to_string();
        assert_eq!(url("s3://my.bucket/a b/ü?x#y%2e.json"), {
            "https://s3.eu-west-1.amazonaws.com/my.bucket/a%20b/%C3%BC%3Fx%23y%252e.json"
        });
        assert_eq!(url("s3://bucket/a//b/...c"), "https://s3.eu-west-1.amazonaws.com/bucket/a//b/...c");
        assert_eq!(
            url("s3://bucket/%2e%2e/other/key"),
            "https://s3.eu-west-1.amazonaws.com/bucket/%252e%252e/other/key"
        );
        let china = "s3://bucket/a".parse::<ObjectUri>().unwrap().url("cn-north-1").unwrap();
        assert_eq!(china.host_str(), Some("s3.cn-north-1.amazonaws.com.cn"));
        assert!("s3://bucket/a".parse::<ObjectUri>().unwrap().url("evil.example/").is_err());
        for bad in [
            "",
            "s3://",
            "s3://bucket",
            "s3://bucket/",
            "s3://b/key",
            "s3://../key",
            "s3://bucket/../other/key",
            "s3://bucket/a/..",
            "s3://bucket/./a",
            "s3://user@evil.example/key",
            "s3://bucket:80/key",
            "https://bucket/key",
            &format!("s3://bucket/{}", "a".repeat(1025)),
        ] {
            assert_eq!(bad.parse::<ObjectUri>(), Err(NotAnObject), "{bad}");
        }
    }

    #[test]
    fn a_bucket_of_another_region_is_found_there() {
        let answer = |status, region: &'static str| {
            let headers: HeaderMap =
                [(HeaderName::from_static(BUCKET_REGION), HeaderValue::from_static(region))].into_iter().collect();
            Answer { status, headers, body: Bytes::new() }
        };
        assert_eq!(elsewhere(&answer(301, "eu-west-2"), "eu-west-1").as_deref(), Some("eu-west-2"));
        assert_eq!(elsewhere(&answer(301, "eu-west-1"), "eu-west-1"), None);
        assert_eq!(elsewhere(&answer(403, "eu-west-2"), "eu-west-1"), None);
        assert_eq!(elsewhere(&answer(301, "evil.example/"), "eu-west-1"), None);
    }
}
