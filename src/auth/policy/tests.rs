//! What is understood of policies, and what is refused.

use super::*;

const GATEWAY: &str = "arn:aws:bedrock-agentcore:us-east-1:123456789012:gateway/shop-0123456789";
const ALICE: &str = "arn:aws:iam::111111111111:user/alice";

fn judge(statement: &str, principal: Option<&str>) -> Verdict {
    let policy = Policy::parse(&format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#)).unwrap();
    let source = Some("10.1.2.3".parse().unwrap());
    policy.judge(&Asked { principal, action: "bedrock-agentcore:InvokeGateway", resource: GATEWAY, source })
}

#[test]
fn statements_are_judged() {
    let allow = |principal: &str, more: &str| {
        format!(
            r#"{{"Effect":"Allow","Principal":{principal},"Action":"bedrock-agentcore:Invoke*","Resource":"*"{more}}}"#
        )
    };
    for (statement, principal, verdict) in [
        (allow(r#""*""#, ""), None, Verdict::Allowed),
        (allow(r#"{"AWS":"111111111111"}"#, ""), Some(ALICE), Verdict::Allowed),
        (allow(r#"{"AWS":["arn:aws:iam::111111111111:root"]}"#, ""), Some(ALICE), Verdict::Allowed),
        (allow(&format!(r#"{{"AWS":"{ALICE}"}}"#), ""), Some(ALICE), Verdict::Allowed),
        (allow(r#"{"AWS":"arn:aws:iam::111111111111:user/bob"}"#, ""), Some(ALICE), Verdict::Silent),
        (allow(r#"{"AWS":"222222222222"}"#, ""), Some(ALICE), Verdict::Silent),
        (allow(r#"{"AWS":"111111111111"}"#, ""), None, Verdict::Silent),
        (allow(r#""*""#, r#","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#), None, Verdict::Allowed),
        (allow(r#""*""#, r#","Condition":{"NotIpAddress":{"aws:SourceIp":["10.1.2.3"]}}"#), None, Verdict::Silent),
        (
            allow(r#""*""#, r#","Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/a*"}}"#),
            Some(ALICE),
            Verdict::Allowed,
        ),
        (
            allow(r#""*""#, r#","Condition":{"StringNotEquals":{"aws:PrincipalAccount":"111111111111"}}"#),
            Some(ALICE),
            Verdict::Silent,
        ),
        (
            format!("{},{}", allow(r#""*""#, ""), allow(r#""*""#, "").replace("Allow", "Deny")),
            Some(ALICE),
            Verdict::Denied,
        ),
        (allow(r#""*""#, "").replace("Invoke*", "Get*"), Some(ALICE), Verdict::Silent),
        (allow(r#""*""#, "").replace(r#""Resource":"*""#, r#""NotResource":"*""#), Some(ALICE), Verdict::Silent),
    ] {
        assert_eq!(judge(&statement, principal), verdict, "{statement}");
    }
}

#[test]
fn a_role_stands_for_its_sessions() {
    const SESSION: &str = "arn:aws:sts::111111111111:assumed-role/admin/alice";
    let of = |statement: &str, role: &str| {
        judge(&statement.replace("ROLE", &format!("arn:aws:iam::111111111111:role/{role}")), Some(SESSION))
    };
    let principal = r#"{"Effect":"Allow","Principal":{"AWS":"ROLE"},"Action":"*","Resource":"*"}"#;
    let others = principal.replace("Principal", "NotPrincipal").replace("Allow", "Deny");
    let condition = |operator: &str| {
        format!(
            r#"{{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{{"{operator}":{{"aws:PrincipalArn":"ROLE"}}}}}}"#
        )
    };
    for (role, allowed) in [("admin", true), ("team/a/admin", true), ("admi", false), ("admin/alice", false)] {
        let says = |yes: bool| if yes { Verdict::Allowed } else { Verdict::Silent };
        assert_eq!(of(principal, role), says(allowed), "{role}");
        assert_eq!(of(&others, role), if allowed { Verdict::Silent } else { Verdict::Denied }, "{role}");
    }
    for (operator, role, verdict) in [
        ("ArnEquals", "admin", Verdict::Allowed),
        ("ArnLike", "adm*", Verdict::Allowed),
        ("ArnNotLike", "adm*", Verdict::Silent),
        ("ArnEquals", "other", Verdict::Silent),
        ("ArnNotEquals", "other", Verdict::Allowed),
        // To IAM, `ArnEquals` is `ArnLike`.
        ("ArnEquals", "*", Verdict::Allowed),
        ("ArnNotEquals", "ad*", Verdict::Silent),
        ("StringEquals", "ad*", Verdict::Silent),
        ("ArnEquals", "team/a/admin", Verdict::Allowed),
        ("StringEquals", "team/admin", Verdict::Allowed),
        ("StringLike", "team/admin", Verdict::Allowed),
        ("ArnNotEquals", "team/admin", Verdict::Silent),
        ("ArnEquals", "team/other", Verdict::Silent),
    ] {
        assert_eq!(of(&condition(operator), role), verdict, "{operator} {role}");
    }
    // Of a session's role nobody knows the path.
    for role in ["team/*", "team/adm?n", "*/admin", "te?m/admin"] {
        for operator in ["ArnLike", "StringNotLike"] {
            let text = format!(
                r#"{{"Statement":{}}}"#,
                condition(operator).replace("ROLE", &format!("arn:aws:iam::111111111111:role/{role}"))
            );
            let error = Policy::parse(&text).unwrap_err();
            assert!(matches!(&error, PolicyError::NotOffered(what) if what.contains("wildcards")), "{role}: {error}");
        }
    }
    let elsewhere = principal.replace("ROLE", "arn:aws:iam::222222222222:role/admin");
    assert_eq!(judge(&elsewhere, Some(SESSION)), Verdict::Silent);
}

#[test]
fn what_is_not_understood_is_refused() {
    for text in [
        "",
        "[]",
        r#"{"Statement":[]}"#,
        r#"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
        r#"{"Statement":[{"Effect":"Maybe","Principal":"*","Action":"*","Resource":"*"}]}"#,
        r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Extra":1}]}"#,
        r#"{"Statement":[{"Effect":"Allow","Principal":{"Service":"x"},"Action":"*","Resource":"*"}]}"#,
        r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"true"}}}]}"#,
        r#"{"Version":"2020","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}"#,
    ] {
        assert!(Policy::parse(text).is_err(), "{text}");
    }
}

/// A policy of one statement with this principal.
fn of_principal(principal: &str) -> Result<Policy, PolicyError> {
    Policy::parse(&format!(
        r#"{{"Statement":{{"Effect":"Deny","Principal":{principal},"Action":"*","Resource":"*"}}}}"#
    ))
}

#[test]
fn variables_are_refused() {
    let statement = r#"{"Effect":"Deny","Principal":"*","Action":"*","Resource":"RESOURCE","Condition":{"StringLike":{"aws:PrincipalArn":"ARN"}}}"#;
    for (resource, arn) in [("*", "arn:aws:sts::${aws:PrincipalAccount}:assumed-role/x/*"), ("arn:${aws:a}*", "*")] {
        let text = format!(r#"{{"Statement":{}}}"#, statement.replace("RESOURCE", resource).replace("ARN", arn));
        assert!(
            matches!(Policy::parse(&text).unwrap_err(), PolicyError::NotOffered(what) if what.contains("variable"))
        );
    }
}

#[test]
fn a_principal_that_nobody_can_be_is_refused() {
    for principal in [
        "nonsense",
        "",
        "arn:aws:iam::111111111111:user/*",
        "arn:aws:iam::111111111111:user/al?ce",
        "arn:aws:iam::*:root",
        "arn:aws:iam::11111111111:root",
        "arn:aws:iam::111111111111:user/",
        "arn:aws:iam::111111111111:user//alice",
        "arn:aws:iam::111111111111:root/alice",
        "arn:aws:iam::111111111111:group/admins",
        "arn:aws:iam:us-east-1:111111111111:user/alice",
        "arn:aws:iam::111111111111:assumed-role/admin/alice",
        "arn:aws:sts::111111111111:assumed-role/admin",
        "arn:aws:sts::111111111111:user/alice",
        "arn:aws:s3:::bucket",
        "arn::iam::111111111111:user/alice",
        "1111111111111",
        " 111111111111",
    ] {
        for list in [format!(r#"{{"AWS":"{principal}"}}"#), format!(r#"{{"AWS":["{ALICE}","{principal}"]}}"#)] {
            let error = of_principal(&list).unwrap_err().to_string();
            assert!(error.contains("twelve digits"), "{list}: {error}");
        }
    }
    for none in [r#"{"AWS":[]}"#, "{}"] {
        assert!(of_principal(none).is_err(), "{none}");
    }
    for principal in [
        "*",
        "111111111111",
        ALICE,
        "arn:aws:iam::111111111111:root",
        "arn:aws:iam::111111111111:role/team/admin",
        "arn:aws-cn:iam::111111111111:user/some/path/a.b+c=d,e@f-g_h",
        "arn:aws:sts::111111111111:assumed-role/admin/alice@example.com",
    ] {
        assert!(of_principal(&format!(r#"{{"AWS":["{principal}"]}}"#)).is_ok(), "{principal}");
    }
}

#[test]
fn what_comes_twice_or_is_empty_is_refused() {
    let statement = r#""Effect":"Deny","Principal":"*","Action":"*","Resource":"*""#;
    for (more, says) in [
        (r#","Effect":"Allow""#, "twice"),
        (r#","Sid":"a","Sid":"b""#, "twice"),
        (r#","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8","aws:SourceIp":"0.0.0.0/0"}}"#, "twice"),
        (r#","Condition":{"StringNotEquals":{"aws:PrincipalAccount":[]}}"#, "empty"),
    ] {
        let error = Policy::parse(&format!(r#"{{"Statement":[{{{statement}{more}}}]}}"#)).unwrap_err().to_string();
        assert!(error.contains(says), "{more}: {error}");
    }
    for empty in ["[]", r#""""#, r#"["*",""]"#] {
        for member in ["Action", "Resource"] {
            for name in [member.to_owned(), format!("Not{member}")] {
                let text = statement.replace(&format!(r#""{member}":"*""#), &format!(r#""{name}":{empty}"#));
                let error = Policy::parse(&format!(r#"{{"Statement":[{{{text}}}]}}"#)).unwrap_err().to_string();
                assert!(error.contains(&format!("`{name}` is empty")), "{text}: {error}");
            }
        }
    }
}
