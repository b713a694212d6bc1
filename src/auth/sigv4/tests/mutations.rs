//! One thing changed, and the request is refused for the right reason.

use super::*;

/// The signature does not fit the request.
fn assert_mismatch(vector: &Vector, what: &str) {
    let error = vector.verify().map(|_| what).unwrap_err();
    assert!(matches!(error, SigV4Error::Mismatch { .. }), "{}, {what}: {error:?}", vector.name);
    assert_eq!(error.error_type(), "InvalidSignatureException");
}

fn assert_refused(vector: &Vector, error: impl Into<SigV4Error>, what: &str) {
    assert_eq!(vector.verify().map(|_| what), Err(error.into()), "{}, {what}", vector.name);
}

#[test]
fn another_method() {
    for vector in accepted() {
        for method in ["GET", "PUT", "POST", "DELETE", "get"].into_iter().filter(|method| *method != vector.method) {
            assert_mismatch(&vector.with(|vector| vector.method = method.into()), method);
        }
    }
}

#[test]
fn another_path() {
    for vector in accepted() {
        assert_mismatch(&vector.with(|vector| vector.path.push('x')), "longer");
        if vector.path != "/" {
            assert_mismatch(&vector.with(|vector| vector.path.truncate(vector.path.len() - 1)), "shorter");
        }
        if vector.path.contains("%2F") {
            assert_mismatch(&vector.with(|vector| vector.path = vector.path.replace("%2F", "/")), "decoded");
            assert_mismatch(&vector.with(|vector| vector.path = vector.path.replace("%2F", "%2f")), "lower case");
        }
        // Signers sign the shortened form of all of these, which is what was signed.
        for longer in ["/.", "/x/..", "/"] {
            let longer = vector.with(|vector| vector.path.insert_str(0, longer));
            assert_refused(&longer, SigV4Error::Path, "longer spelling");
        }
    }
}

#[test]
fn another_query() {
    for vector in accepted() {
        let with_query = |query: String| vector.with(|vector| vector.query = query);
        let joint = if vector.query.is_empty() { "" } else { "&" };
        assert_mismatch(&with_query(format!("{}{joint}z=1", vector.query)), "one more");
        assert_mismatch(&with_query(format!("z{joint}{}", vector.query)), "one more, in front");
        let pairs: Vec<&str> = vector.query.split('&').filter(|pair| !pair.is_empty()).collect();
        for at in 0..pairs.len() {
            if pairs[at].starts_with("X-Amz-") {
                continue;
            }
            let mut fewer = pairs.clone();
            fewer.remove(at);
            assert_mismatch(&with_query(fewer.join("&")), pairs[at]);
            let mut changed: Vec<String> = pairs.iter().map(ToString::to_string).collect();
            changed[at].push('1');
            assert_mismatch(&with_query(changed.join("&")), pairs[at]);
            changed[at] = format!("{}&{}", pairs[at], pairs[at]);
            assert_mismatch(&with_query(changed.join("&")), pairs[at]);
        }
        // Order and spelling carry no meaning.
        let turned: Vec<&str> = pairs.iter().rev().copied().collect();
        assert!(with_query(turned.join("&").replace('~', "%7E")).verify().is_ok(), "{}", vector.name);
    }
}

#[test]
fn another_signed_header() {
    let mut changed_any = 0;
    for vector in accepted() {
        for name in vector.signed_headers() {
            if name == "host" || name.ends_with("date") {
                continue;
            }
            changed_any += 1;
            let changed = vector.with(|vector| vector.header_mut(&name).unwrap().push('x'));
            match name.as_str() {
                "x-amz-content-sha256" => assert_refused(&changed, PayloadFault::NotAHash, &name),
                _ => assert_mismatch(&changed, &name),
            }
            let removed = vector.with(|vector| vector.headers.retain(|(sent, _)| !sent.eq_ignore_ascii_case(&name)));
            assert_refused(&removed, SigV4Error::AbsentHeader(name.as_str().into()), &name);
            let twice = vector.with(|vector| vector.headers.push((name.clone(), "x".into())));
            match name.as_str() {
                "x-amz-content-sha256" | "x-amz-security-token" => assert_refused(&twice, Malformed::Twice, &name),
                _ => assert_mismatch(&twice, &name),
            }
        }
    }
    assert!(changed_any > 15, "{changed_any}");
}

#[test]
fn another_host() {
    for vector in accepted() {
        for authority in ["127.0.0.1", "127.0.0.1:8082", "evil.example"] {
            assert_mismatch(&vector.with(|vector| vector.authority = authority.into()), authority);
        }
        for authority in ["", "a b", "a\nb"] {
            assert_refused(&vector.with(|vector| vector.authority = authority.into()), Malformed::Host, authority);
        }
        let other_line = vector.with(|vector| vector.headers.push(("Host".into(), "evil.example".into())));
        assert_refused(&other_line, Malformed::Host, "Host beside the authority");
        let twice = vector.with(|vector| {
            vector.headers.push(("Host".into(), vector.authority.clone()));
            vector.headers.push(("Host".into(), vector.authority.clone()));
        });
        assert_refused(&twice, Malformed::Host, "Host twice");
    }
}

#[test]
fn another_body() {
    for vector in accepted() {
        let mut changes = vec![vector.with(|vector| vector.body.push(b' '))];
        if !vector.body.is_empty() {
            changes.push(vector.with(|vector| vector.body.clear()));
            changes.push(vector.with(|vector| vector.body[0] ^= 1));
        }
        for changed in changes {
            match vector.has("x-amz-content-sha256") {
                true => assert_refused(&changed, PayloadFault::Differs, "body"),
                false => assert_mismatch(&changed, "body"),
            }
        }
    }
}

#[test]
fn another_date() {
    for vector in accepted() {
        let (from, second, day) = match vector.has("date") {
            true => ("02 Jan 2026 03:04:05", "02 Jan 2026 03:04:06", "01 Jan 2026 03:04:05"),
            false => ("20260102T030405Z", "20260102T030406Z", "20260101T030405Z"),
        };
        let dated = |to: &str| {
            vector.with(|vector| {
                vector.query = vector.query.replace(from, to);
                vector.headers.iter_mut().for_each(|(_, value)| *value = value.replace(from, to));
            })
        };
        assert_mismatch(&dated(second), "a second later");
        assert_refused(&dated(day), ScopeFault::Date, "a day earlier");
        assert_refused(&dated("soon"), Malformed::Date, "no date");
        if !vector.is_presigned() {
            let undated =
                vector.with(|vector| vector.headers.retain(|(name, _)| !name.to_lowercase().ends_with("date")));
            assert_refused(&undated, Malformed::Date, "no date");
        }
    }
}

#[test]
fn another_scope_or_key() {
    for vector in accepted() {
        assert_mismatch(&vector.with_signature("/us-east-1/", "/us-east-2/"), "region");
        let service = vector.with_signature("/bedrock-agentcore/", "/s3/");
        assert_refused(&service, ScopeFault::Service(SERVICE.into()), "service");
        assert_refused(&vector.with_signature("/20260102/", "/20260103/"), ScopeFault::Date, "day");
        let unknown = vector.with_signature(&vector.access_key_id, "AKIDNOBODY");
        assert_refused(&unknown, SigV4Error::UnknownKey { access_key_id: "AKIDNOBODY".into() }, "unknown key");
        let other = if vector.access_key_id == "AKIDEXAMPLE" { "ASIAEXAMPLE" } else { "AKIDEXAMPLE" };
        assert_mismatch(&vector.with_signature(&vector.access_key_id, other), "key of another");

        let pinned = Policy { region: Some("eu-west-1".into()), ..Policy::default() };
        let error = vector.verify_with(&keys(), &pinned, now()).unwrap_err();
        assert_eq!(error, ScopeFault::Region("eu-west-1".into()).into());
    }
}

#[test]
fn another_secret() {
    let mut specs = specs();
    specs.iter_mut().for_each(|spec| spec.secret = "another".into());
    let keys = AccessKeys::new(specs).unwrap();
    for vector in accepted() {
        let error = vector.verify_with(&keys, &Policy::default(), now()).unwrap_err();
        assert!(matches!(error, SigV4Error::Mismatch { .. }), "{}: {error:?}", vector.name);
        let shown = format!("{error} {error:?} {}", error.log_detail());
        assert!(!shown.contains("another") && !shown.contains("token=="), "{shown}");
    }
}

#[test]
fn another_signature() {
    for vector in accepted() {
        let text = if vector.is_presigned() {
            &vector.query
        } else {
            &vector.clone().header_mut("authorization").unwrap().clone()
        };
        let start = text.find("Signature=").unwrap() + "Signature=".len();
        let signature = &text[start..start + 64];
        for at in 0..64 {
            let other = if &signature[at..=at] == "0" { "1" } else { "0" };
            let changed = format!("{}{other}{}", &signature[..at], &signature[at + 1..]);
            assert_mismatch(&vector.with_signature(signature, &changed), "signature");
        }
        assert_refused(&vector.with_signature(signature, &signature[1..]), Malformed::Signature, "shorter");
        let upper = signature.to_uppercase();
        assert_refused(&vector.with_signature(signature, &upper), Malformed::Signature, "upper case");
    }
}

#[test]
fn a_header_outside_of_the_signature() {
    for vector in accepted() {
        for name in ["x-amz-target", "X-Amz-Meta-New"] {
            let more = vector.with(|vector| vector.headers.push((name.into(), "1".into())));
            assert_refused(&more, SigV4Error::UnsignedHeader(name.to_lowercase().into()), name);
        }
        let policy = Policy { signed_if_sent: vec!["mcp-protocol-version".into()], ..Policy::default() };
        assert!(vector.verify_with(&keys(), &policy, now()).is_ok(), "{}", vector.name);
        let more = vector.with(|vector| vector.headers.push(("MCP-Protocol-Version".into(), "x".into())));
        let signs_others = vector.headers.iter().any(|(_, value)| value.contains("mcp-session-id"));
        assert_eq!(more.verify().is_ok(), !signs_others, "{}", vector.name);
        let error = more.verify_with(&keys(), &policy, now()).unwrap_err();
        assert_eq!(error, SigV4Error::UnsignedHeader("mcp-protocol-version".into()));
        assert_eq!(error.error_type(), "IncompleteSignatureException");
    }
}

#[test]
fn another_session_token() {
    let with_token = |token: Option<&str>| {
        let mut specs = specs();
        specs.iter_mut().for_each(|spec| spec.session_token = token.map(Into::into));
        AccessKeys::new(specs).unwrap()
    };
    for vector in accepted() {
        let sends = vector.access_key_id == "ASIAEXAMPLE";
        for (token, with, without) in [
            (Some("differs"), Some(TokenFault::Differs), Some(TokenFault::Missing)),
            (None, Some(TokenFault::Unexpected), None),
        ] {
            let answer = vector.verify_with(&with_token(token), &Policy::default(), now());
            let expected = if sends { with } else { without };
            assert_eq!(answer.err(), expected.map(SigV4Error::SessionToken), "{}", vector.name);
        }
        // With a wrong signature nothing is said about the token.
        let forged = vector.with(|vector| vector.method = "PATCH".into());
        let error = forged.verify_with(&with_token(None), &Policy::default(), now()).unwrap_err();
        assert!(matches!(error, SigV4Error::Mismatch { .. }), "{error:?}");
    }
    assert_eq!(SigV4Error::SessionToken(TokenFault::Differs).error_type(), "UnrecognizedClientException");
}

#[test]
fn host_or_date_not_signed() {
    for vector in accepted() {
        let signed = vector.signed_headers();
        let listed = |names: &[String]| names.join(if vector.is_presigned() { "%3B" } else { ";" });
        let without = |end: &str| {
            let fewer: Vec<String> = signed.iter().filter(|name| !name.ends_with(end)).cloned().collect();
            let from = format!("SignedHeaders={}", listed(&signed));
            vector.with_signature(&from, &format!("SignedHeaders={}", listed(&fewer)))
        };
        if signed.len() > 1 {
            assert_refused(&without("host"), Malformed::HostNotSigned, "host");
        }
        if !vector.is_presigned() {
            assert_refused(&without("date"), Malformed::Date, "date");
        }
    }
}

#[test]
fn both_forms_or_none() {
    for vector in accepted() {
        if vector.is_presigned() {
            for header in ["AWS4-HMAC-SHA256 x", "Bearer x"] {
                let both = vector.with(|vector| vector.headers.push(("Authorization".into(), header.into())));
                assert_refused(&both, Malformed::TwoForms, "both forms");
            }
            let error =
                vector.verify_with(&keys(), &Policy { presigned: None, ..Policy::default() }, now()).unwrap_err();
            assert_eq!(error, Malformed::NoPresigned.into());
            for name in ["Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature"] {
                let fewer = vector.with(|vector| {
                    let pairs = vector.query.split('&').filter(|pair| !pair.starts_with(&format!("X-Amz-{name}=")));
                    vector.query = pairs.collect::<Vec<_>>().join("&");
                });
                assert_refused(&fewer, Malformed::Presigned, name);
                let twice = vector.with(|vector| vector.query.push_str(&format!("&x-amz-{}=1", name.to_lowercase())));
                assert_refused(&twice, Malformed::Twice, name);
            }
        } else {
            let both = vector.with(|vector| vector.query.push_str("&X-Amz-Signature=1"));
            assert_refused(&both, Malformed::TwoForms, "both forms");
            let twice = vector.with(|vector| {
                let copy = vector.header_mut("authorization").unwrap().clone();
                vector.headers.push(("authorization".into(), copy));
            });
            assert_refused(&twice, Malformed::TwoAuthorizations, "two");
            let none = vector.with(|vector| vector.headers.retain(|(name, _)| name != "Authorization"));
            assert_refused(&none, SigV4Error::Missing, "none");
            assert_eq!(SigV4Error::Missing.error_type(), "MissingAuthenticationTokenException");
        }
    }
}

/// Or whoever has no key could push the signing keys of others out of memory, or find out which regions they use.
#[test]
fn a_forged_request_leaves_nothing_behind() {
    let keys = keys();
    for vector in accepted() {
        let forged = vector.with(|vector| vector.method = "PATCH".into());
        let unknown = vector.with_signature(&vector.access_key_id, "AKIDNOBODY");
        for refused in [forged, unknown] {
            assert!(refused.verify_with(&keys, &Policy::default(), now()).is_err(), "{}", vector.name);
        }
    }
    assert_eq!(keys.remembered(), 0);
    assert!(accepted()[0].verify_with(&keys, &Policy::default(), now()).is_ok());
    assert_eq!(keys.remembered(), 2);
}

#[test]
fn a_body_in_chunks() {
    for claim in ["STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"] {
        let vectors = accepted();
        let vector = vectors.iter().find(|vector| vector.has("x-amz-content-sha256")).unwrap();
        let chunked = vector.with(|vector| *vector.header_mut("x-amz-content-sha256").unwrap() = claim.into());
        for unsigned_payload in [false, true] {
            let policy = Policy { unsigned_payload, ..Policy::default() };
            let error = chunked.verify_with(&keys(), &policy, now()).unwrap_err();
            assert_eq!(error, PayloadFault::Streaming.into());
        }
    }
}
