//! Calls as the roles of gateways: which key signs them, what STS is asked, and how often.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix_web::HttpResponse;
use bytes::Bytes;
use parking_lot::Mutex;
use sessiongate_targets::aws::{
    AwsCredentials, AwsIdentity, AwsKeys, GatewayRole, Invocation, InvokeError, LambdaArn, LambdaInvoker, RoleKey,
    Roles,
};
use sessiongate_targets::{HostMap, HttpOptions, Outbound};
use tokio::time;
use url::{Url, form_urlencoded};

use crate::support::*;

/// What STS says next.
#[derive(Clone, Copy, PartialEq)]
enum Sts {
    /// A key with this many seconds to live, less than none too.
    Key(i64),
    Denied,
    Nothing,
}

/// STS and Lambda, and the keys of a process that reaches them.
struct Cloud {
    server: Server,
    says: Arc<Mutex<Sts>>,
    outbound: Outbound,
    keys: Arc<AwsKeys>,
}

const HOUR: i64 = 3600;
const FUNCTION: &str = "arn:aws:lambda:eu-west-1:123456789012:function:check";

fn key(id: &str) -> AwsCredentials {
    AwsCredentials {
        access_key_id: id.into(),
        secret_access_key: "secret".to_owned().into(),
        session_token: (id != "AKIDOWN").then(|| format!("token of {id}").replace(' ', "-").into()),
    }
}

fn role(name: &str, gateway: &str) -> GatewayRole {
    GatewayRole { role: format!("arn:aws:iam::123456789012:role/{name}").into(), gateway: gateway.into() }
}

fn answer(says: Sts, number: usize) -> HttpResponse {
    let seconds = match says {
        Sts::Key(seconds) => seconds,
        Sts::Denied => {
            let body =
                "<ErrorResponse><Error><Code>AccessDenied</Code><Message>s3cret</Message></Error></ErrorResponse>";
            return HttpResponse::Forbidden().body(body);
        }
        Sts::Nothing => return sse_open(Vec::new()),
    };
    let shift = Duration::from_secs(seconds.unsigned_abs());
    let end = if seconds < 0 { SystemTime::now() - shift } else { SystemTime::now() + shift };
    let key = key(&format!("ASIA{number}"));
    HttpResponse::Ok().content_type("text/xml").body(format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
         <AccessKeyId>{0}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>token-of-{0}</SessionToken>\
         <Expiration>{1}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>",
        key.access_key_id,
        humantime::format_rfc3339(end)
    ))
}

impl Cloud {
    fn new(says: Sts, roles: &[(&str, RoleKey)]) -> Self {
        let says = Arc::new(Mutex::new(says));
        let (said, asked) = (says.clone(), Arc::new(Mutex::new(0)));
        let server = Server::start(move |seen| match &*seen.path {
            "/sts/" => {
                let mut asked = asked.lock();
                *asked += 1;
                answer(*said.lock(), *asked)
            }
            _ => HttpResponse::Ok().body("{}"),
        });
        let at = |path: &str| server.base.join(path).unwrap();
        let hosts: [(String, Url); 2] = [("sts".into(), at("sts")), ("lambda".into(), at("lambda"))];
        let outbound = Outbound::new(HttpOptions::default(), HostMap::new(hosts).unwrap()).unwrap();
        let entries = roles.iter().map(|(name, key)| (role(name, "").role.to_string(), key.clone()));
        let own = AwsIdentity { credentials: Some(key("AKIDOWN")), region: Some("eu-west-2".into()) };
        let keys = AwsKeys::new(outbound.clone(), own, Some(Arc::new(Roles::new(entries))));
        Self { server, says, outbound, keys }
    }

    /// Invokes a function for a gateway.
    async fn call(&self, role: &GatewayRole) -> Result<(), InvokeError> {
        self.call_within(role, Duration::from_secs(10)).await
    }

    async fn call_within(&self, role: &GatewayRole, deadline: Duration) -> Result<(), InvokeError> {
        let function: LambdaArn = FUNCTION.parse().unwrap();
        let (function, payload) = (&function, &Bytes::from_static(b"{}"));
        let invoker = LambdaInvoker::new(self.outbound.clone(), self.keys.caller(Some(role)));
        invoker.invoke(&Invocation { function, payload, client_context: None, deadline }).await.map(drop)
    }

    /// Whose key signed the last invocation.
    async fn signer(&self, role: &GatewayRole) -> String {
        self.call(role).await.unwrap();
        signer(self.seen("/lambda/").last().unwrap(), "eu-west-1/lambda")
    }

    fn seen(&self, path: &str) -> Vec<Seen> {
        self.server.seen.lock().iter().filter(|seen| seen.path.starts_with(path)).cloned().collect()
    }

    /// How often STS was asked.
    fn asked(&self) -> usize {
        self.seen("/sts/").len()
    }
}

/// The id of the key that signed a request for this region and service; its token must be the key's.
fn signer(seen: &Seen, scope: &str) -> String {
    let text = seen.header("authorization").unwrap();
    let (_, rest) = text.split_once("Credential=").unwrap();
    let (id, rest) = rest.split_once('/').unwrap();
    assert!(rest.contains(&format!("/{scope}/aws4_request")), "{text}");
    let token = (id != "AKIDOWN").then(|| format!("token-of-{id}"));
    assert_eq!(seen.header("x-amz-security-token"), token.as_deref());
    id.to_owned()
}

/// The clock of everything that waits; the one on the wall stays.
async fn pass(span: Duration) {
    time::pause();
    time::advance(span).await;
    time::resume();
}

#[actix_rt::test]
async fn a_role_is_assumed_once_for_each_gateway() {
    let cloud = Cloud::new(Sts::Key(HOUR), &[("gateway-*", RoleKey::Assume)]);
    let (shop, ship) = (role("gateway-x", "shop-0123456789"), role("gateway-x", "ship-0123456789"));
    let all = futures_util::future::join_all((0..20).map(|_| cloud.call(&shop))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert!(cloud.seen("/lambda/").iter().all(|seen| signer(seen, "eu-west-1/lambda") == "ASIA1"));
    let asked = cloud.seen("/sts/");
    assert_eq!((asked.len(), asked[0].method.as_str()), (1, "POST"));
    assert_eq!(signer(&asked[0], "eu-west-2/sts"), "AKIDOWN");
    let form: Vec<(String, String)> = form_urlencoded::parse(asked[0].text.as_bytes()).into_owned().collect();
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(
        form,
        [
            ("Action", "AssumeRole"),
            ("Version", "2011-06-15"),
            ("RoleArn", &*shop.role),
            ("RoleSessionName", "sessiongate-shop-0123456789"),
            ("DurationSeconds", "3600"),
        ]
    );
    // Another gateway has a session of its own.
    assert_eq!((cloud.signer(&ship).await.as_str(), cloud.asked()), ("ASIA2", 2));
    assert_eq!((cloud.signer(&shop).await.as_str(), cloud.asked()), ("ASIA1", 2));
}

#[actix_rt::test]
async fn other_roles_sign_with_what_is_given_or_not_at_all() {
    let fixed = RoleKey::Fixed(key("AKIDFIXED"));
    let cloud = Cloud::new(Sts::Key(HOUR), &[("laptop", RoleKey::Own), ("fixed", fixed)]);
    assert_eq!(cloud.signer(&role("laptop", "a")).await, "AKIDOWN");
    cloud.call(&role("fixed", "a")).await.unwrap();
    let error = cloud.call(&role("other", "a")).await.unwrap_err().to_string();
    assert!(error.contains("role/other") && error.contains("`aws.roles`"), "{error}");
    let calls = cloud.seen("/lambda/");
    assert_eq!((calls.len(), cloud.asked()), (2, 0));
    assert!(calls[1].header("authorization").unwrap().contains("Credential=AKIDFIXED/"));
    assert_eq!(calls[1].header("x-amz-security-token"), Some("token-of-AKIDFIXED"));
    // Where roles say nothing, the process signs.
    let own = AwsIdentity { credentials: Some(key("AKIDOWN")), region: None };
    let cloud = Cloud { keys: AwsKeys::new(cloud.outbound.clone(), own, None), ..cloud };
    assert_eq!(cloud.signer(&role("other", "a")).await, "AKIDOWN");
    // Without a key of its own it can assume nothing.
    let roles = Roles::new([("*".to_owned(), RoleKey::Assume)]);
    let keys = AwsKeys::new(cloud.outbound.clone(), AwsIdentity::default(), Some(Arc::new(roles)));
    let cloud = Cloud { keys, ..cloud };
    let error = cloud.call(&role("other", "a")).await.unwrap_err().to_string();
    assert!(error.contains("AWS_ACCESS_KEY_ID") && cloud.asked() == 0, "{error}");
}

#[actix_rt::test]
async fn a_function_with_a_place_of_its_own_is_for_listed_roles_too() {
    let cloud = Cloud::new(Sts::Denied, &[("gateway-*", RoleKey::Assume)]);
    let own = (FUNCTION.to_owned(), cloud.server.base.join("own").unwrap());
    let outbound = Outbound::new(HttpOptions::default(), HostMap::new([own]).unwrap()).unwrap();
    let cloud = Cloud { outbound, ..cloud };
    // It is not signed, so nothing is assumed.
    cloud.call(&role("gateway-x", "a")).await.unwrap();
    assert!(cloud.call(&role("other", "a")).await.is_err());
    assert_eq!((cloud.seen("/own").len(), cloud.asked()), (1, 0));
}

#[actix_rt::test]
async fn a_key_is_renewed_before_it_ends_and_used_until_then() {
    let cloud = Cloud::new(Sts::Key(HOUR), &[("gateway-*", RoleKey::Assume)]);
    let shop = role("gateway-x", "shop");
    assert_eq!(cloud.signer(&shop).await, "ASIA1");
    pass(Duration::from_secs(54 * 60)).await;
    assert_eq!((cloud.signer(&shop).await.as_str(), cloud.asked()), ("ASIA1", 1));
    // Five minutes before the end nobody waits for the new one.
    pass(Duration::from_secs(90)).await;
    assert_eq!(cloud.signer(&shop).await, "ASIA1");
    eventually("it is renewed", || cloud.asked() == 2).await;
    let renewed = async || cloud.signer(&shop).await == "ASIA2";
    while !renewed().await {}
    assert_eq!(cloud.asked(), 2);
    // STS is down: what there is is used to its end, and STS asked now and then.
    *cloud.says.lock() = Sts::Denied;
    pass(Duration::from_secs(56 * 60)).await;
    for asked in [3, 4] {
        while cloud.asked() < asked {
            assert_eq!(cloud.signer(&shop).await, "ASIA2");
        }
        for _ in 0..5 {
            assert_eq!(cloud.signer(&shop).await, "ASIA2");
        }
        assert_eq!(cloud.asked(), asked);
        pass(Duration::from_secs(6)).await;
    }
    pass(Duration::from_secs(5 * 60)).await;
    let error = cloud.call(&shop).await.unwrap_err().to_string();
    assert!(error.contains("AccessDenied"), "{error}");
    // And back.
    *cloud.says.lock() = Sts::Key(HOUR);
    pass(Duration::from_secs(6)).await;
    assert_eq!(cloud.signer(&shop).await, "ASIA6");
}

#[actix_rt::test]
async fn what_sts_refuses_is_remembered_for_a_moment() {
    let cloud = Cloud::new(Sts::Denied, &[("gateway-*", RoleKey::Assume)]);
    let shop = role("gateway-x", "shop");
    for _ in 0..5 {
        let error = cloud.call(&shop).await.unwrap_err();
        let said = format!("{error} {:?} {error:?}", error.detail());
        assert!(said.contains(&*shop.role) && said.contains("STS answered AccessDenied (HTTP 403)"), "{said}");
        assert!(!said.contains("s3cret"), "{said}");
    }
    assert_eq!(cloud.asked(), 1);
    pass(Duration::from_secs(6)).await;
    *cloud.says.lock() = Sts::Key(-10);
    let error = cloud.call(&shop).await.unwrap_err().to_string();
    assert!(error.contains("clocks") && cloud.asked() == 2, "{error}");
    assert!(cloud.seen("/lambda/").is_empty());
}

#[actix_rt::test]
async fn a_short_key_does_not_make_every_call_a_question() {
    let cloud = Cloud::new(Sts::Key(120), &[("gateway-*", RoleKey::Assume)]);
    let shop = role("gateway-x", "shop");
    for _ in 0..5 {
        assert_eq!(cloud.signer(&shop).await, "ASIA1");
    }
    assert_eq!(cloud.asked(), 1);
}

#[actix_rt::test]
async fn sts_that_says_nothing_costs_a_call_its_deadline_and_is_asked_once() {
    let cloud = Cloud::new(Sts::Nothing, &[("gateway-*", RoleKey::Assume)]);
    let shop = role("gateway-x", "shop");
    for _ in 0..3 {
        let error = cloud.call_within(&shop, Duration::from_millis(100)).await.unwrap_err();
        assert!(error.is_timeout(), "{error}");
    }
    assert_eq!(cloud.asked(), 1);
}
