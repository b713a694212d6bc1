//! Protected resource metadata: how a client finds a gateway's authorization server (RFC 9728).

use serde::Serialize;
use url::Url;

/// Where the document is: here for the whole origin, and with the path of an endpoint behind it for that one
/// (RFC 9728, 3.1).
pub const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The document of one gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResourceMetadata {
    /// The URL that clients use for the gateway, and put into `resource` when they ask for a token (RFC 8707).
    pub resource: String,
    /// Issuers of tokens for it.
    pub authorization_servers: Vec<String>,
    /// The scopes to ask for; left out where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes_supported: Vec<String>,
    /// How tokens are sent: in the header only.
    pub bearer_methods_supported: [&'static str; 1],
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_name: Option<String>,
}

/// Which document a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requested<'a> {
    /// That of the origin: of the gateway that the host belongs to, or of the only one.
    Root,
    /// That of the endpoint with this path.
    Endpoint(&'a str),
}

// === impl ResourceMetadata ===

impl ResourceMetadata {
    /// For the gateway at `resource`.
    pub fn new<S: AsRef<str>>(resource: &Url, issuer: &str, scopes: &[S], name: Option<&str>) -> Self {
        Self {
            resource: canonical(resource),
            authorization_servers: vec![issuer.to_owned()],
            scopes_supported: scopes.iter().map(|scope| scope.as_ref().to_owned()).collect(),
            bearer_methods_supported: ["header"],
            resource_name: name.map(str::to_owned),
        }
    }
}

// === impl Requested ===

impl<'a> Requested<'a> {
    /// By the path of a request; none where it is not one of these documents.
    pub fn parse(path: &'a str) -> Option<Self> {
        match path.strip_prefix(WELL_KNOWN)? {
            "" | "/" => Some(Self::Root),
            endpoint if endpoint.starts_with('/') => Some(Self::Endpoint(endpoint)),
            _ => None,
        }
    }
}

/// The path of the document of the endpoint with this path.
pub fn path_of(endpoint: &str) -> String {
    format!("{WELL_KNOWN}{}", endpoint.trim_end_matches('/'))
}

/// The URL of the document of the resource with this URL: for `resource_metadata` in a challenge.
pub fn url_of(resource: &Url) -> String {
    format!("{}{}", resource.origin().ascii_serialization(), path_of(resource.path()))
}

/// A resource's URL as clients compare it: no fragment, no query, no slash at its end (MCP authorization, canonical
/// server URI).
pub fn canonical(resource: &Url) -> String {
    format!("{}{}", resource.origin().ascii_serialization(), resource.path().trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_names_the_gateway_its_issuer_and_its_scopes() {
        let resource = Url::parse("https://GW.example:443/gateways/shop/mcp/?x=1#f").unwrap();
        let document = ResourceMetadata::new(&resource, "https://auth.example/", &["shop/read"], Some("Shop"));
        assert_eq!(
            serde_json::to_value(document).unwrap(),
            serde_json::json!({
                "resource": "https://gw.example/gateways/shop/mcp",
                "authorization_servers": ["https://auth.example/"],
                "scopes_supported": ["shop/read"],
                "bearer_methods_supported": ["header"],
                "resource_name": "Shop",
            })
        );
        let bare = ResourceMetadata::new::<&str>(&resource, "https://auth.example", &[], None);
        let bare = serde_json::to_value(bare).unwrap();
        assert!(bare.get("scopes_supported").is_none() && bare.get("resource_name").is_none());
    }

    #[test]
    fn both_well_known_paths_are_recognised() {
        assert_eq!(Requested::parse("/.well-known/oauth-protected-resource"), Some(Requested::Root));
        assert_eq!(
            Requested::parse("/.well-known/oauth-protected-resource/gateways/shop/mcp"),
            Some(Requested::Endpoint("/gateways/shop/mcp"))
        );
        assert_eq!(Requested::parse("/.well-known/oauth-protected-resources"), None);
        assert_eq!(Requested::parse("/gateways/shop/mcp"), None);
        let resource = Url::parse("http://localhost:8080/gateways/shop/mcp").unwrap();
        let document = Url::parse(&url_of(&resource)).unwrap();
        assert_eq!(document.as_str(), "http://localhost:8080/.well-known/oauth-protected-resource/gateways/shop/mcp");
        assert_eq!(Requested::parse(document.path()), Some(Requested::Endpoint(resource.path())));
        assert_eq!(path_of("/"), WELL_KNOWN);
    }
}
