//! When a signature counts, and how often.

use std::sync::Arc;
use std::time::Duration;

use super::*;

fn named(name: &str) -> Vector {
    accepted().into_iter().find(|vector| vector.name == name).unwrap()
}

const MINUTE: Duration = Duration::from_secs(60);
const MILLI: Duration = Duration::from_millis(1);

#[test]
fn a_signature_counts_five_minutes_both_ways() {
    for vector in accepted().into_iter().filter(|vector| !vector.is_presigned()) {
        let at = |now| vector.verify_with(&keys(), &Policy::default(), now);
        assert!(at(now() + 5 * MINUTE).is_ok() && at(now() - 5 * MINUTE).is_ok(), "{}", vector.name);
        let (late, early) = (at(now() + 5 * MINUTE + MILLI).unwrap_err(), at(now() - 5 * MINUTE - MILLI).unwrap_err());
        assert!(late.to_string().starts_with("Signature expired"), "{late}");
        assert!(late.to_string().contains("20260102T030905Z"), "{late}");
        assert!(early.to_string().starts_with("Signature not yet current"), "{early}");
        for error in [late, early] {
            assert_eq!(error.error_type(), "InvalidSignatureException");
        }
    }
}

#[test]
fn the_skew_is_a_setting() {
    let policy = Policy { skew: Duration::from_secs(1), ..Policy::default() };
    let at = |now| named("client: POST").verify_with(&keys(), &policy, now);
    assert!(at(now() + Duration::from_secs(1)).is_ok());
    assert!(at(now() + Duration::from_secs(2)).is_err());
    assert!(at(now() - Duration::from_secs(2)).is_err());
}

#[test]
fn a_presigned_request_counts_as_long_as_it_says() {
    let vector = named("client: presigned");
    let at = |now| vector.verify_with(&keys(), &Policy::default(), now);
    assert!(at(now() + 10 * MINUTE).is_ok() && at(now() - 5 * MINUTE).is_ok());
    assert!(matches!(at(now() + 10 * MINUTE + MILLI), Err(SigV4Error::Expired { .. })));
    assert!(matches!(at(now() - 5 * MINUTE - MILLI), Err(SigV4Error::NotYetValid { .. })));
    for (expires, error) in [("601", None), ("0", Some(())), ("3601", Some(())), ("+9", Some(())), ("1e3", Some(()))] {
        let changed =
            vector.with(|vector| vector.query = vector.query.replace("Expires=600", &format!("Expires={expires}")));
        match (changed.verify().unwrap_err(), error) {
            (SigV4Error::Mismatch { .. }, None) | (SigV4Error::Incomplete(Malformed::Expires), Some(())) => {}
            (other, _) => panic!("{expires}: {other:?}"),
        }
    }
}

#[test]
fn before_the_body_is_there_all_is_checked_that_needs_no_key() {
    let before = |vector: &Vector, at| precheck(&Policy::default(), RequestParts { body: &[], ..vector.parts() }, at);
    for vector in &file().vectors {
        match vector.verify() {
            Ok(_) => assert_eq!(before(vector, now()), Ok(()), "{}", vector.name),
            // What needs the key or the body comes later.
            Err(SigV4Error::Mismatch { .. } | SigV4Error::UnknownKey { .. } | SigV4Error::SessionToken(_)) => {
                assert_eq!(before(vector, now()), Ok(()), "{}", vector.name);
            }
            Err(SigV4Error::Payload(PayloadFault::Differs) | SigV4Error::AbsentHeader(_)) => {
                assert_eq!(before(vector, now()), Ok(()), "{}", vector.name);
            }
            Err(error) => assert_eq!(before(vector, now()), Err(error), "{}", vector.name),
        }
    }
    for vector in accepted() {
        let unknown = vector.with_signature(&vector.access_key_id, "AKIDNOBODYKNOWSIT");
        assert_eq!(before(&unknown, now()), Ok(()), "{}: keys are alike", vector.name);
        let late = before(&vector, now() + 200 * MINUTE).unwrap_err();
        assert!(matches!(late, SigV4Error::Expired { .. } | SigV4Error::Scope(_)), "{}: {late:?}", vector.name);
        let elsewhere = vector.with_signature("bedrock-agentcore", "s3");
        assert!(matches!(before(&elsewhere, now()), Err(SigV4Error::Scope(_))), "{}", vector.name);
    }
}

fn guarded(settings: ReplaySettings) -> (Verifier, Arc<ReplayGuard>) {
    let guard = Arc::new(ReplayGuard::new(settings));
    (Verifier::new(Arc::new(keys()), Policy::default(), Some(guard.clone())), guard)
}

#[test]
fn a_repetition_is_taken_at_once_and_refused_later() {
    let (verifier, guard) = guarded(ReplaySettings::default());
    let vector = named("signer: MCP call");
    let at = |now| verifier.verify(vector.parts(), now);
    assert!(at(now()).is_ok());
    assert!(at(now() + Duration::from_millis(4999)).is_ok());
    assert!(at(now() - MILLI).is_ok());
    // A clock that was set back is no way around.
    assert!(matches!(at(now() - MINUTE), Err(SigV4Error::Replayed { .. })));
    let error = at(now() + Duration::from_secs(5)).unwrap_err();
    assert_eq!(error, SigV4Error::Replayed { access_key_id: "AKIDEXAMPLE".into() });
    assert_eq!(error.error_type(), "InvalidSignatureException");
    // To the very end of its life, and then it is the signature that has expired.
    assert!(matches!(at(now() + 5 * MINUTE), Err(SigV4Error::Replayed { .. })));
    assert!(matches!(at(now() + 5 * MINUTE + MILLI), Err(SigV4Error::Expired { .. })));
    assert_eq!(guard.len(), 1);
    // A refused request leaves nothing.
    let forged = vector.with(|vector| vector.body.push(b'x'));
    assert!(verifier.verify(forged.parts(), now()).is_err());
    assert_eq!(guard.len(), 1);
    // Another request forgets the expired one.
    let later = guard_entry(&verifier, "client: POST", now() + 5 * MINUTE);
    assert!(later.is_ok());
    assert_eq!(guard.len(), 2);
}

fn guard_entry(verifier: &Verifier, name: &str, now: SystemTime) -> Result<Verified, SigV4Error> {
    verifier.verify(named(name).parts(), now)
}

/// The vectors are signed at `now()`, a whole second.
#[test]
fn what_was_signed_before_the_start_is_taken_for_a_moment_only() {
    let second = Duration::from_secs(1);
    let started = |at| {
        let guard = ReplayGuard::new(ReplaySettings::default()).since(at);
        Verifier::new(Arc::new(keys()), Policy::default(), Some(Arc::new(guard)))
    };
    let at = |verifier: &Verifier, at| guard_entry(verifier, "client: POST", at).map(drop);
    let refused = |verifier: &Verifier, now| match at(verifier, now).unwrap_err() {
        error @ SigV4Error::BeforeStart { .. } => {
            assert_eq!((error.status(), error.error_type()), (429, "ThrottlingException"));
            error.retry_after().unwrap()
        }
        other => panic!("{other:?}"),
    };
    // Before it was signed, or in the same moment: the process would remember.
    for start in [now() - MINUTE, now()] {
        assert_eq!(at(&started(start), now() + 4 * MINUTE), Ok(()));
    }
    // In the second in which it was signed: the process before may have had it. On its way, or from a slow clock, it may come.
    for (start, slow) in [(now() + MILLI, 1), (now() + second, 1), (now() + 5 * second, 5)] {
        let verifier = started(start);
        assert_eq!(at(&verifier, start), Ok(()), "{slow}");
        let verifier = started(start);
        assert_eq!(at(&verifier, now() + slow * second + 5 * second - MILLI), Ok(()), "{slow}");
        assert_eq!(refused(&started(start), now() + slow * second + 5 * second), slow * second);
        // It is remembered from then on.
        let again = at(&verifier, now() + slow * second + 10 * second).unwrap_err();
        assert!(matches!(again, SigV4Error::Replayed { .. }), "{again:?}");
    }
    let late = started(now() + 6 * second);
    assert_eq!(refused(&late, now() + 6 * second), 6 * second);
    assert_eq!(refused(&late, now() + 4 * MINUTE), 6 * second, "until its clock has come there");
    // The clock was wrong at the start, and has been set since.
    assert_eq!(at(&started(now() + 60 * MINUTE), now() + second), Ok(()));
    // What is presigned may be repeated anyway.
    assert!(guard_entry(&late, "client: presigned", now() + MINUTE).is_ok());
}

#[test]
fn of_the_headers_of_mcp_all_are_signed_or_none() {
    let with = |vector: &Vector, name: &str| {
        vector.with(|vector| vector.headers.push((name.to_owned(), "x".to_owned()))).verify().map(drop)
    };
    let unsigned = |name: &str| Err(SigV4Error::UnsignedHeader(name.into()));
    let signs_mcp = named("signer: MCP call");
    assert_eq!(with(&signs_mcp, "Mcp-Method"), unsigned("mcp-method"));
    assert_eq!(with(&signs_mcp, "x-forwarded-for"), Ok(()), "what proxies add");
    assert_eq!(with(&named("client: POST"), "Mcp-Session-Id"), Ok(()), "a client that signs none");
    assert_eq!(with(&named("client: POST"), "X-Amz-Anything"), unsigned("x-amz-anything"));
}

#[test]
fn without_grace_every_repetition_is_refused() {
    let (verifier, _) = guarded(ReplaySettings { grace: Duration::ZERO, ..ReplaySettings::default() });
    assert!(guard_entry(&verifier, "client: POST", now()).is_ok());
    assert!(matches!(guard_entry(&verifier, "client: POST", now()), Err(SigV4Error::Replayed { .. })));
    // Presigned requests may be repeated.
    assert!(guard_entry(&verifier, "client: presigned", now()).is_ok());
    assert!(guard_entry(&verifier, "client: presigned", now() + MINUTE).is_ok());
}

#[test]
fn a_full_memory_forgets_the_oldest_and_counts_it() {
    let (verifier, guard) = guarded(ReplaySettings { grace: Duration::ZERO, capacity: 2 });
    for name in ["client: POST", "client: PUT", "client: DELETE"] {
        assert!(guard_entry(&verifier, name, now()).is_ok());
    }
    assert_eq!((guard.len(), guard.forgotten()), (2, 1));
    assert!(guard_entry(&verifier, "client: PUT", now()).is_err());
    assert!(guard_entry(&verifier, "client: POST", now()).is_ok());
    assert_eq!((guard.len(), guard.forgotten()), (2, 2));
}

#[test]
fn what_has_expired_is_forgotten() {
    let (verifier, guard) = guarded(ReplaySettings::default());
    for name in ["client: POST", "client: PUT", "client: DELETE"] {
        assert!(guard_entry(&verifier, name, now()).is_ok());
    }
    assert_eq!(guard.len(), 3);
    // A presigned request is still good; it is not remembered, and nobody comes in its place.
    let verified = named("client: presigned").verify_with(&keys(), &Policy::default(), now() + 6 * MINUTE).unwrap();
    let late = Verified { form: Form::Header, mark: 7, ..verified };
    assert!(guard.admit(&late, now() + 6 * MINUTE).is_ok());
    assert_eq!((guard.len(), guard.forgotten()), (1, 0));
}
