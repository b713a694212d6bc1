//! What botocore signs is taken.

use super::*;

#[test]
fn every_request_of_botocore_is_taken() {
    let vectors = accepted();
    assert!(vectors.len() > 35, "{}", vectors.len());
    for vector in vectors {
        let verified = vector.verify().unwrap_or_else(|error| panic!("{}: {error:?}", vector.name));
        assert_eq!(verified.caller.access_key_id(), vector.access_key_id);
        assert_eq!(verified.caller.principal_arn(), format!("arn:aws:iam::123456789012:user/{}", vector.access_key_id));
        assert_eq!(verified.caller.account(), "123456789012");
        assert!(verified.caller.allows("bedrock-agentcore:GetGateway"));
        assert!(!verified.caller.allows("bedrock-agentcore:DeleteGateway"));
        assert_eq!(&*verified.region, "us-east-1");
        assert_eq!(verified.form == Form::Presigned, vector.is_presigned());
        assert_eq!(verified.signed_at, now());
    }
}

/// The signing key comes from memory the second time.
#[test]
fn the_second_request_is_taken_as_the_first() {
    let keys = keys();
    for vector in accepted().iter().chain(&accepted()) {
        assert!(vector.verify_with(&keys, &Policy::default(), now()).is_ok(), "{}", vector.name);
        let forged = vector.with(|vector| vector.method = "PATCH".into());
        assert!(forged.verify_with(&keys, &Policy::default(), now()).is_err(), "{}", vector.name);
    }
}

#[test]
fn what_a_proxy_may_do_is_borne() {
    for vector in accepted() {
        // HTTP/2 and most proxies write names in lower case; a proxy adds headers of its own; Host may be listed.
        let proxied = vector.with(|vector| {
            vector.headers.iter_mut().for_each(|(name, _)| *name = name.to_lowercase());
            vector.headers.reverse();
            vector.headers.push(("x-forwarded-for".into(), "10.0.0.1".into()));
            vector.headers.push(("x-amzn-trace-id".into(), "Root=1".into()));
            vector.headers.push(("x-amz-cf-id".into(), "edge".into()));
            vector.headers.push(("host".into(), vector.authority.clone()));
        });
        // The order of lines of one name matters, and reversing changed it.
        if vector.name != "signer: header twice" {
            assert!(proxied.verify().is_ok(), "{}: {:?}", vector.name, proxied.verify());
        }
    }
}

#[test]
fn an_unsigned_body_is_taken_only_where_the_policy_says_so() {
    let vectors = &file().vectors;
    let unsigned = vectors.iter().find(|vector| vector.refused.as_deref() == Some("unsigned")).unwrap();
    assert_eq!(unsigned.verify().unwrap_err(), PayloadFault::Unsigned.into());
    let policy = Policy { unsigned_payload: true, ..Policy::default() };
    assert!(unsigned.verify_with(&keys(), &policy, now()).is_ok());
    let changed = unsigned.with(|vector| vector.body.push(b'x'));
    assert!(changed.verify_with(&keys(), &policy, now()).is_ok());
}
