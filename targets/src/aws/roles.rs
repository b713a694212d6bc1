//! Which roles of gateways there are, and with which key each signs.

use std::cmp::Reverse;

use wildmatch::WildMatch;

use super::identity::AwsCredentials;

/// With which key a role signs.
#[derive(Clone, Debug)]
pub enum RoleKey {
    /// The process's own.
    Own,
    /// A temporary one that STS gives the process's own (`AssumeRole`).
    Assume,
    /// This one.
    Fixed(AwsCredentials),
}

/// The roles that gateways may name. `*` in an entry stands for any characters, slashes among them, and `?` for one; what is
/// most specific counts: an ARN goes before patterns, and a longer pattern before a shorter one.
#[derive(Clone, Debug)]
pub struct Roles {
    /// In the order in which they are tried.
    entries: Vec<(WildMatch, RoleKey)>,
}

// === impl Roles ===

impl Roles {
    /// From ARNs, or patterns of them.
    pub fn new(entries: impl IntoIterator<Item = (String, RoleKey)>) -> Self {
        let mut entries: Vec<(String, RoleKey)> = entries.into_iter().collect();
        // Patterns of one length in an order that does not depend on how they were written down.
        entries.sort_by(|(one, _), (other, _)| {
            let rank = |text: &str| (text.contains(['*', '?']), Reverse(text.len()));
            rank(one).cmp(&rank(other)).then_with(|| one.cmp(other))
        });
        Self { entries: entries.into_iter().map(|(pattern, key)| (WildMatch::new(&pattern), key)).collect() }
    }

    /// With which key a role signs; none where it is not listed.
    pub fn find(&self, role: &str) -> Option<&RoleKey> {
        self.entries.iter().find(|(pattern, _)| pattern.matches(role)).map(|(_, key)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_entry_counts() {
        let key = |id: &str| {
            RoleKey::Fixed(AwsCredentials {
                access_key_id: id.into(),
                secret_access_key: "s3cret".to_owned().into(),
                session_token: Some("t0ken".to_owned().into()),
            })
        };
        let arn = |name: &str| format!("arn:aws:iam::123456789012:role/{name}");
        let roles = Roles::new([
            ("arn:aws:iam::*".to_owned(), key("any")),
            (arn("gateway-*"), key("gateways")),
            (arn("gateway-shop"), key("shop")),
            (arn("gateway-sho?"), key("sho")),
            (arn("gateway-shop-*"), key("shops")),
        ]);
        let found = |name: &str| match roles.find(&arn(name)) {
            Some(RoleKey::Fixed(key)) => key.access_key_id.clone(),
            other => panic!("{other:?}"),
        };
        for (name, key) in [
            ("gateway-shop", "shop"),
            ("gateway-shot", "sho"),
            ("gateway-shops", "gateways"),
            ("gateway-shop-1", "shops"),
            ("gateway-a/b", "gateways"),
            ("Gateway-a", "any"),
        ] {
            assert_eq!(found(name), key, "{name}");
        }
        assert!(roles.find("arn:aws-cn:iam::123456789012:role/x").is_none());
        assert!(Roles::new([]).find(&arn("x")).is_none());
        let shown = format!("{roles:?}");
        assert!(shown.contains("shops") && !shown.contains("s3cret") && !shown.contains("t0ken"), "{shown}");
    }
}
