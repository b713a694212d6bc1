//! Documents that lead somewhere else, or never end.

use serde_json::{Value, json};
use sessiongate_targets::HostMap;
use url::Url;

use super::server::{Answer, PIECE, Server};
use super::support::{DISCOVERY, ISSUER, JWKS, Key, NOW, World, claims, jwks, metadata, outbound, rules};
use crate::auth::jwt::{Issuers, JwtError, JwtOptions, JwtRules, RulesError};

/// What the operator reads when a good token cannot be checked.
async fn detail(world: &World) -> String {
    let error = world.authorizer().verify(&world.token(), NOW).await.unwrap_err();
    assert_eq!(error.status(), 503, "{error:?}");
    let shown = error.to_string();
    assert!(!shown.contains("127.0.0.1") && !shown.contains("169.254"), "{shown}");
    error.detail().unwrap().to_owned()
}

/// Without a host map: the URL is followed as it is.
async fn direct(discovery: &str, allowed: &[&str], token: &str) -> Result<(), JwtError> {
    let issuers = Issuers::new(outbound(allowed, HostMap::default()), JwtOptions::default());
    let mut rules = rules();
    rules.discovery_url = Url::parse(discovery).unwrap();
    issuers.authorizer(rules).unwrap().verify(token, NOW).await.map(drop)
}

fn refused(verdict: Result<(), JwtError>) -> String {
    let error = verdict.unwrap_err();
    assert_eq!(error.status(), 503, "{error:?}");
    error.detail().unwrap().to_owned()
}

#[tokio::test]
async fn a_discovery_url_at_the_metadata_service_is_refused() {
    let world = World::new().await;
    for host in ["169.254.169.254", "[::ffff:169.254.169.254]", "0xa9fea9fe", "[fd00:ec2::254]"] {
        for scheme in ["http", "https"] {
            let detail = refused(direct(&format!("{scheme}://{host}{DISCOVERY}"), &[], &world.token()).await);
            assert!(detail.contains("address is not allowed"), "{scheme}://{host}: {detail}");
        }
    }
    let wide =
        refused(direct(&format!("http://169.254.169.254{DISCOVERY}"), &["169.254.0.0/16"], &world.token()).await);
    assert!(wide.contains("address is not allowed"), "{wide}");
}

#[tokio::test]
async fn a_discovery_name_that_resolves_to_a_private_address_is_refused() {
    let server = Server::start().await;
    let key = Key::p256();
    let here = format!("http://localhost:{}", server.base.port().unwrap());
    server.answer(DISCOVERY, Answer::Json(json!({"issuer": ISSUER, "jwks_uri": format!("{here}{JWKS}")})));
    server.answer(JWKS, jwks(&[key.jwk(Some("k1"))]));
    let token = key.token(&json!({"alg": "ES256", "kid": "k1"}), &claims(&json!({})));
    for url in [format!("{here}{DISCOVERY}"), format!("{here}{DISCOVERY}").replace("http:", "https:")] {
        let detail = refused(direct(&url, &[], &token).await);
        assert!(detail.contains("address is not allowed"), "{url}: {detail}");
    }
    assert_eq!(server.all_hits(), 0);
    // Where the operator opened the network, the same works, over plain HTTP, too.
    server.answer(DISCOVERY, Answer::Json(json!({"issuer": here, "jwks_uri": format!("{here}{JWKS}")})));
    let token = key.token(&json!({"alg": "ES256", "kid": "k1"}), &claims(&json!({"iss": here})));
    assert_eq!(direct(&format!("{here}{DISCOVERY}"), &["127.0.0.0/8", "::1/128"], &token).await, Ok(()));
}

#[tokio::test]
async fn plain_http_to_a_public_address_is_refused() {
    let world = World::new().await;
    let detail = refused(direct(&format!("http://192.0.1.1{DISCOVERY}"), &["127.0.0.0/8"], &world.token()).await);
    assert!(detail.contains("listed networks only"), "{detail}");
}

#[tokio::test]
async fn keys_at_the_metadata_service_are_refused() {
    let world = World::new().await;
    world.server.answer(DISCOVERY, Answer::Json(metadata("https://169.254.169.254/jwks")));
    assert!(detail(&world).await.contains("address is not allowed"));
}

#[tokio::test]
async fn keys_over_plain_http_are_refused_unless_the_operator_says_so() {
    for uri in
        ["http://issuer.elsewhere/jwks", "http://127.0.0.1/jwks", "file:///etc/passwd", "ftp://issuer.example/", "x"]
    {
        let world = World::new().await;
        world.server.answer(DISCOVERY, Answer::Json(metadata(uri)));
        assert!(detail(&world).await.contains("`jwks_uri`"), "{uri}");
        assert_eq!(world.server.hits(JWKS), 0);
    }
    // The map's own server, by the address that it knows itself by.
    let world = World::new().await;
    let own = world.server.base.join(JWKS).unwrap();
    world.server.answer(DISCOVERY, Answer::Json(metadata(own.as_str())));
    assert!(world.authorizer().verify(&world.token(), NOW).await.is_ok());
}

#[tokio::test]
async fn a_redirect_to_http_is_refused() {
    for to in [
        "http://issuer.example/other",
        "http://evil.example/",
        "http://127.0.0.1:1/",
        "http://169.254.169.254/",
        "file:///etc/passwd",
        "gopher://x/",
    ] {
        let world = World::new().await;
        world.server.answer(DISCOVERY, Answer::Redirect(to.to_owned()));
        assert!(detail(&world).await.contains("redirects to where"), "{to}");
        let world = World::new().await;
        world.server.answer(JWKS, Answer::Redirect(to.to_owned()));
        assert!(detail(&world).await.contains("redirects to where"), "{to}");
    }
}

#[tokio::test]
async fn a_redirect_to_a_private_address_is_refused() {
    let there = Server::start().await;
    let port = there.base.port().unwrap();
    for to in [
        format!("https://127.0.0.1:{port}/x"),
        format!("https://localhost:{port}/x"),
        "https://169.254.169.254/".to_owned(),
        "https://[::1]/".to_owned(),
    ] {
        let world = World::new().await;
        world.server.answer(DISCOVERY, Answer::Redirect(to.clone()));
        assert!(detail(&world).await.contains("address is not allowed"), "{to}");
    }
    assert_eq!(there.all_hits(), 0);
}

#[tokio::test]
async fn three_redirects_are_followed_and_no_fourth() {
    let world = World::new().await;
    world.server.answer(DISCOVERY, Answer::Redirect("/a".into()));
    world.server.answer("/a", Answer::Redirect(format!("{ISSUER}/b")));
    world.server.answer("/b", Answer::Redirect("c".into()));
    world.server.answer("/c", Answer::Json(metadata(&format!("{ISSUER}{JWKS}"))));
    assert!(world.authorizer().verify(&world.token(), NOW).await.is_ok());
    let world = World::new().await;
    world.server.answer(DISCOVERY, Answer::Redirect(DISCOVERY.into()));
    assert!(detail(&world).await.contains("more than 3 redirects"));
    assert_eq!(world.server.hits(DISCOVERY), 4);
}

#[tokio::test]
async fn of_a_document_of_a_gigabyte_little_is_read() {
    for (path, declared) in [(DISCOVERY, false), (DISCOVERY, true), (JWKS, false), (JWKS, true)] {
        let world = World::new().await;
        world.server.answer(path, Answer::Gigabyte { declared });
        assert!(detail(&world).await.contains("more than 262144 bytes"), "{path}");
        // What the sockets hold comes on top of what is read.
        let sent = world.server.pieces() * PIECE;
        assert!(sent < 64 << 20, "{sent} bytes of {path} were sent");
    }
}

#[tokio::test]
async fn a_document_that_is_not_json_is_refused() {
    for (path, answer, says) in [
        (DISCOVERY, Answer::Media(metadata(JWKS), "text/html"), "not JSON"),
        (JWKS, Answer::Media(json!({"keys": []}), "text/plain"), "not JSON"),
        (DISCOVERY, Answer::Json(json!("x")), "`issuer` and `jwks_uri`"),
        (DISCOVERY, Answer::Json(json!({"issuer": ISSUER})), "`issuer` and `jwks_uri`"),
        (DISCOVERY, Answer::Json(json!({"issuer": "", "jwks_uri": "https://issuer.example/jwks"})), "`issuer` has"),
        (JWKS, Answer::Json(json!([])), "array `keys`"),
        (JWKS, Answer::Json(json!({"keys": {}})), "array `keys`"),
        (DISCOVERY, Answer::Status(404), "HTTP 404"),
        (JWKS, Answer::Status(204), "HTTP 204"),
    ] {
        let world = World::new().await;
        world.server.answer(path, answer.clone());
        let detail = detail(&world).await;
        assert!(detail.contains(says), "{answer:?}: {detail}");
    }
}

#[tokio::test]
async fn a_key_set_under_its_own_media_type_is_taken() {
    let world = World::new().await;
    let keys: Value = json!({"keys": [world.key.jwk(Some("k1"))]});
    world.server.answer(JWKS, Answer::Media(keys, "application/jwk-set+json"));
    assert!(world.authorizer().verify(&world.token(), NOW).await.is_ok());
}

#[tokio::test]
async fn an_issuer_that_nobody_listens_for_is_unavailable() {
    // Bound, so that nobody else takes the port, and not listening.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let base = Url::parse(&format!("http://{}", socket.local_addr().unwrap())).unwrap();
    let hosts = HostMap::new([("issuer.example".to_owned(), base)]).unwrap();
    let issuers = Issuers::new(outbound(&[], hosts), JwtOptions::default());
    let token = World::new().await.token();
    let error = issuers.authorizer(rules()).unwrap().verify(&token, NOW).await.unwrap_err();
    assert_eq!((error.status(), error.code()), (503, "issuer_unavailable"));
    assert!(error.detail().unwrap().contains("could not be reached"), "{error:?}");
}

/// A discovery document with another issuer than its URL says, and what becomes of a token of that issuer.
async fn of_another_issuer(said: &str) -> (World, String) {
    let world = World::new().await;
    let mut document = metadata(&format!("{ISSUER}{JWKS}"));
    document["issuer"] = said.into();
    world.server.answer(DISCOVERY, Answer::Json(document));
    let token = world.token_with(&json!({"iss": said}));
    (world, token)
}

#[tokio::test]
async fn a_document_for_another_issuer_than_its_url_says_is_refused() {
    for said in
        ["https://issuer.example/realm", "https://evil.example", "http://issuer.example", "https://issuer.exampl"]
    {
        let (world, token) = of_another_issuer(said).await;
        let error = world.authorizer().verify(&token, NOW).await.unwrap_err();
        assert_eq!((error.status(), error.code()), (503, "issuer_unavailable"), "{said}");
        assert!(error.detail().unwrap().contains(said), "{error:?}");
        assert_eq!(world.server.hits(JWKS), 0, "its keys are nobody's");
    }
    // Discovery takes a slash off the end of an issuer's name (OpenID Connect Discovery, 4.1): Auth0's have one.
    let (world, token) = of_another_issuer("https://issuer.example/").await;
    assert!(world.authorizer().verify(&token, NOW).await.is_ok());
}

#[tokio::test]
async fn the_operator_may_say_what_the_issuer_is_called() {
    const NAME: &str = "https://sts.example/tenant/";
    let (world, token) = of_another_issuer(NAME).await;
    let named = |issuer: &str| {
        let rules = JwtRules { issuer: Some(issuer.to_owned()), ..rules() };
        world.issuers.authorizer(rules).unwrap()
    };
    assert_eq!(&*named(NAME).verify(&token, NOW).await.unwrap().issuer, NAME);
    // Who has the same document and did not say so does not profit; nor is a slash overlooked where the name is said.
    for authorizer in [world.authorizer(), named("https://sts.example/tenant"), named(ISSUER)] {
        let error = authorizer.verify(&token, NOW).await.unwrap_err();
        assert!(error.detail().unwrap().contains("`issuer`"), "{error:?}");
    }
    for wrong in ["sts", "", "https://login.example/{tenantid}/v2.0", "https://a.example/?x", "ftp://a.example"] {
        let rules = JwtRules { issuer: Some(wrong.to_owned()), ..rules() };
        assert_eq!(rules.validate(), Err(RulesError::Issuer), "{wrong}");
    }
}

#[tokio::test]
async fn an_issuer_is_named_by_its_document_and_before_that_by_its_url() {
    let world = World::new().await;
    let mut document = metadata(&format!("{ISSUER}{JWKS}"));
    world.server.answer(DISCOVERY, Answer::Status(500));
    let authorizer = world.authorizer();
    assert_eq!(&*authorizer.authorization_server(NOW).await, ISSUER);
    document["issuer"] = "https://issuer.example/".into();
    world.server.answer(DISCOVERY, Answer::Json(document));
    assert_eq!(&*authorizer.authorization_server(super::support::after(60)).await, "https://issuer.example/");
}

#[tokio::test]
async fn what_the_gateway_calls_with_a_signature_is_no_place_for_documents() {
    let (server, private) = (Server::start().await, Server::start().await);
    let key = Key::p256();
    private.answer(JWKS, jwks(&[key.jwk(Some("k1"))]));
    let mapped = [("issuer.example", &server), ("lambda", &private)];
    let hosts = HostMap::new(mapped.map(|(host, at)| (host.to_owned(), at.base.clone()))).unwrap();
    let issuers = Issuers::new(outbound(&[], hosts), JwtOptions::default());
    let token = key.token(&json!({"alg": "ES256", "kid": "k1"}), &claims(&json!({})));
    // The keys elsewhere, by a document that an attacker wrote: under a public name, and under the operator's own.
    let here = private.base.join(JWKS).unwrap().to_string();
    for (uri, says) in [
        (format!("https://lambda.nowhere-1.amazonaws.com{JWKS}"), "could not be reached"),
        (here.replace("http:", "https:"), "address is not allowed"),
        (here, "`jwks_uri` must be https"),
    ] {
        server.answer(DISCOVERY, Answer::Json(metadata(&uri)));
        let rules = JwtRules { issuer: Some(ISSUER.to_owned()), ..rules() };
        let error = issuers.authorizer(rules).unwrap().verify(&token, NOW).await.unwrap_err();
        assert!(error.detail().unwrap().contains(says), "{uri}: {error:?}");
        assert_eq!(private.all_hits(), 0, "{uri}");
    }
    // The document itself.
    let mut rules = rules();
    rules.discovery_url = Url::parse(&format!("https://lambda.nowhere-1.amazonaws.com{DISCOVERY}")).unwrap();
    let error = issuers.authorizer(rules).unwrap().verify(&token, NOW).await.unwrap_err();
    assert!(error.status() == 503 && private.all_hits() == 0, "{error:?}");
}
