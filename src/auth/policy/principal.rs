//! Whom a statement is about.

use serde_json::Value;

use super::{PolicyError, strings};

/// Whom `Principal` or `NotPrincipal` names.
pub(super) fn arns(written: Value) -> Result<Vec<String>, PolicyError> {
    let kinds = match written {
        Value::String(word) if word == "*" => return Ok(vec![word]),
        Value::Object(kinds) => kinds,
        Value::String(word) => {
            return Err(PolicyError::Form(format!("`Principal` is `{word}`: it is `*` or a mapping")));
        }
        _ => return Err(PolicyError::Form("`Principal` is neither `*` nor a mapping".into())),
    };
    let mut all = Vec::new();
    for (kind, value) in kinds {
        if kind != "AWS" {
            return Err(PolicyError::NotOffered(format!("a principal of the kind `{kind}`")));
        }
        all.extend(strings(&value, "Principal.AWS")?);
    }
    if all.is_empty() {
        return Err(PolicyError::Form("`Principal` names nobody".into()));
    }
    // Nobody would be meant by it: a statement that denies would deny nobody.
    match all.iter().find(|text| !can_be(text)) {
        None => Ok(all),
        Some(text) => Err(PolicyError::Form(format!(
            "the principal `{text}` is neither `*` nor the twelve digits of an account nor, without wildcards, the \
             ARN of a user, a role, a session of a role or the root of an account"
        ))),
    }
}

/// Whether a principal with this ARN is one of those that the pattern stands for: `*`, an ARN, an account, or the root of an
/// account, which stands for everyone in it. A role stands for each of its sessions.
pub(super) fn is_principal(pattern: &str, principal: &str) -> bool {
    if pattern == "*" || (!principal.is_empty() && pattern == principal) || is_session_of(pattern, principal) {
        return true;
    }
    let of = match pattern.strip_suffix(":root") {
        Some(arn) => account(arn),
        None => is_account(pattern).then_some(pattern),
    };
    of.is_some() && of == account(principal)
}

/// Whether `principal` is a session (`arn:P:sts::A:assumed-role/NAME/SESSION`) of the role `arn:P:iam::A:role/PATH/NAME`:
/// the ARN of a session does not show its role's path, and a role's name is one of its account's alone.
fn is_session_of(role: &str, principal: &str) -> bool {
    role_of(principal).is_some_and(|of| without_path(role).is_some_and(|role| role == of))
}

/// The ARN of a role as it would be if the role had no path.
fn without_path(role: &str) -> Option<String> {
    let (before, path) = role.split_once(":role/")?;
    Some(format!("{before}:role/{}", path.rsplit('/').next()?))
}

/// What a condition says of `aws:PrincipalArn`, in a form that meets sessions too: a role with a path, also without it.
///
/// # Errors
/// Where such a role has wildcards: of a session's role nobody knows the path.
pub(super) fn also_without_paths(values: Vec<String>) -> Result<Vec<String>, PolicyError> {
    let mut all = Vec::with_capacity(values.len());
    for value in values {
        if let Some((_, path)) = value.split_once(":role/").filter(|(_, path)| path.contains('/')) {
            if path.contains(['*', '?']) {
                return Err(PolicyError::NotOffered(format!("a path of roles with wildcards (`{value}`)")));
            }
            all.extend(without_path(&value));
        }
        all.push(value);
    }
    Ok(all)
}

/// The role, without its path, of which an ARN is a session.
pub(super) fn role_of(session: &str) -> Option<String> {
    let (partition, rest) = session.strip_prefix("arn:")?.split_once(":sts::")?;
    let (account, rest) = rest.split_once(":assumed-role/")?;
    let (name, _) = rest.split_once('/')?;
    Some(format!("arn:{partition}:iam::{account}:role/{name}"))
}

/// The account in an ARN.
pub fn account(arn: &str) -> Option<&str> {
    arn.strip_prefix("arn:")?.split(':').nth(3).filter(|account| !account.is_empty())
}

/// Whether a pattern is in a form in which somebody can be meant.
fn can_be(pattern: &str) -> bool {
    if pattern == "*" || is_account(pattern) {
        return true;
    }
    let parts: Vec<&str> = pattern.splitn(6, ':').collect();
    let &["arn", partition, service, "", account, name] = parts.as_slice() else { return false };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+=,.@-".contains(&byte);
    let mut words = name.split('/');
    let kind = words.next().unwrap_or_default();
    let words: Vec<&str> = words.collect();
    let named = !words.is_empty() && words.iter().all(|word| !word.is_empty());
    !partition.is_empty()
        && partition.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && is_account(account)
        && name.bytes().all(plain)
        && match (service, kind) {
            ("iam", "root") => words.is_empty(),
            ("iam", "user" | "role") => named,
            ("sts", "assumed-role") => named && words.len() == 2,
            _ => false,
        }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}
