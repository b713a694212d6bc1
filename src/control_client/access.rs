//! Where the control plane is, and with which key it is asked.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use url::Url;

use crate::config::expand::Lookup;
use crate::config::{self, Config, ConfigErrors, ControlConfig, Secret};

/// Variables that have the URL, in the order in which they count.
const ENDPOINTS: [&str; 2] = ["SESSIONGATE_CONTROL", "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE_CONTROL"];
/// Variables that have the region, in the order in which they count.
const REGIONS: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];
const KEY_ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
const TOKEN: &str = "AWS_SESSION_TOKEN";

/// What the command line says about it.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The URL.
    pub endpoint: Option<Url>,
    /// The configuration file of the gateway.
    pub config: Option<PathBuf>,
    /// The region to sign for.
    pub region: Option<String>,
}

/// Everything that a request needs.
#[derive(Clone)]
pub struct Access {
    /// The control plane; operations come after its path.
    pub endpoint: Url,
    /// The id of the access key.
    pub access_key_id: String,
    /// Its secret.
    pub secret: Secret,
    /// The session token of temporary credentials.
    pub session_token: Option<Secret>,
    /// The region that signatures name.
    pub region: String,
    /// The account that the file names, if there is a file.
    pub account: Option<String>,
    /// Where the key comes from, for messages.
    pub origin: String,
}

/// Why nobody can be asked.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The file is wrong.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    /// The file has no control plane.
    #[error("{} has no `control`: add `control: {{listen: 127.0.0.1:8081, credentials: […]}}`, or give --endpoint", .0.display())]
    NoControl(PathBuf),
    /// The file leaves the port to the system.
    #[error("{} has port 0 in `control.listen`, so the port is not known: give --endpoint", .0.display())]
    NoPort(PathBuf),
    /// There is no key.
    #[error("there is no access key: set {KEY_ID} and {SECRET}, or give the gateway's file with --config")]
    NoKey,
    /// One half of a key.
    #[error("{there} is set and {missing} is not: set both")]
    HalfKey {
        /// The variable that is set.
        there: &'static str,
        /// The one that is not.
        missing: &'static str,
    },
    /// The URL is none.
    #[error("{origin} has no URL like https://gateway.example:8081 without a query: {reason}")]
    Endpoint {
        /// Who says so.
        origin: String,
        /// What is wrong with it.
        reason: String,
    },
}

struct Key {
    id: String,
    secret: Secret,
    token: Option<Secret>,
    origin: String,
}

// === impl Access ===

impl Access {
    /// Puts together what command line, file and variables say. The URL: the command line's, the file's `control.listen`,
    /// a variable's, or `http://127.0.0.1:8081`. The key: the file's first one if the URL is the file's, else that of the
    /// variables, else the file's. Blocking: it reads the file.
    ///
    /// # Errors
    /// Where the file is wrong, or something needed is nowhere.
    pub fn find(asked: &Asked, variables: Lookup<'_>) -> Result<Self, AccessError> {
        let file = asked.config.as_deref();
        let loaded = file.map(config::load).transpose()?;
        Self::put_together(asked, file.zip(loaded.as_ref()), variables)
    }

    fn put_together(asked: &Asked, file: Option<(&Path, &Config)>, variables: Lookup<'_>) -> Result<Self, AccessError> {
        let given = asked.endpoint.clone().map(|url| checked(url, "--endpoint")).transpose()?;
        let control = match file {
            Some((path, config)) => match &config.control {
                Some(control) => Some((path, control)),
                None if given.is_some() => None,
                // Not a variable's: whoever names a file means its gateways.
                None => return Err(AccessError::NoControl(path.to_owned())),
            },
            None => None,
        };
        let listens = control.map(|(path, control)| listener(path, control.listen));
        let endpoint = match (given, &listens, set(&ENDPOINTS, variables)) {
            (Some(url), ..) => url,
            (None, Some(Ok(url)), _) => url.clone(),
            // The file leaves the port to the system, or there is none.
            (None, _, Some((name, text))) => read(&text, name)?,
            (None, Some(Err(AccessError::NoPort(path))), None) => return Err(AccessError::NoPort(path.clone())),
            (None, _, None) => url_of(ControlConfig::default().listen)?,
        };
        let of_file = || control.and_then(|(path, control)| key_of_file(path, control));
        let key = match &listens {
            Some(Ok(url)) if *url == endpoint => of_file(),
            _ => None,
        };
        let key = match key {
            Some(key) => Some(key),
            None => key_of_variables(variables)?.or_else(of_file),
        };
        let key = key.ok_or(AccessError::NoKey)?;
        let region = asked.region.clone();
        let region = region.or_else(|| set(&REGIONS, variables).map(|(_, region)| region));
        let region = region.or_else(|| control.map(|(_, control)| control.region.clone()));
        Ok(Self {
            endpoint,
            access_key_id: key.id,
            secret: key.secret,
            session_token: key.token,
            region: region.unwrap_or_else(|| ControlConfig::default().region),
            account: control.map(|(_, control)| control.account.clone()),
            origin: key.origin,
        })
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("host", &self.endpoint.host_str())
            .field("access_key_id", &self.access_key_id)
            .field("region", &self.region)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// The first of these variables that has something, and its name.
fn set(names: &[&'static str], variables: Lookup<'_>) -> Option<(&'static str, String)> {
    names.iter().find_map(|name| Some((*name, variables(name).filter(|value| !value.is_empty())?)))
}

fn key_of_variables(variables: Lookup<'_>) -> Result<Option<Key>, AccessError> {
    let value = |name| set(&[name], variables).map(|(_, value)| value);
    match (value(KEY_ID), value(SECRET)) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(AccessError::HalfKey { there: KEY_ID, missing: SECRET }),
        (None, Some(_)) => Err(AccessError::HalfKey { there: SECRET, missing: KEY_ID }),
        (Some(id), Some(secret)) => Ok(Some(Key {
            id,
            secret: Secret::new(secret),
            token: value(TOKEN).map(Secret::new),
            origin: KEY_ID.to_owned(),
        })),
    }
}

fn key_of_file(path: &Path, control: &ControlConfig) -> Option<Key> {
    let key = control.credentials.first()?;
    Some(Key {
        id: key.access_key_id.clone(),
        secret: key.secret_access_key.clone(),
        token: key.session_token.clone(),
        origin: path.display().to_string(),
    })
}

/// How the listener is reached from the machine it is on.
fn listener(path: &Path, mut listen: SocketAddr) -> Result<Url, AccessError> {
    if listen.port() == 0 {
        return Err(AccessError::NoPort(path.to_owned()));
    }
    match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => listen.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(address) if address.is_unspecified() => listen.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    url_of(listen)
}

fn url_of(listen: SocketAddr) -> Result<Url, AccessError> {
    read(&format!("http://{listen}"), "`control.listen`")
}

fn read(text: &str, origin: &str) -> Result<Url, AccessError> {
    let url = Url::parse(text)
        .map_err(|error| AccessError::Endpoint { origin: origin.to_owned(), reason: error.to_string() })?;
    checked(url, origin)
}

fn checked(url: Url, origin: &str) -> Result<Url, AccessError> {
    let wrong = |reason: &str| Err(AccessError::Endpoint { origin: origin.to_owned(), reason: reason.to_owned() });
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return wrong("it is not an http or https URL");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return wrong("it has a query or a fragment");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("it has a user: requests are signed with an access key");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AccessKey;

    fn table(pairs: &'static [(&'static str, &'static str)]) -> impl Fn(&str) -> Option<String> {
        move |name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    fn file(listen: &str) -> Config {
        let key = AccessKey {
            access_key_id: "FILEFILEFILEFILE".into(),
            secret_access_key: Secret::new("of the file"),
            session_token: None,
            principal: None,
            permissions: Vec::new(),
        };
        let control = ControlConfig {
            listen: listen.parse().unwrap(),
            credentials: vec![key],
            account: "123456789012".into(),
            region: "eu-west-1".into(),
            ..ControlConfig::default()
        };
        Config { control: Some(control), ..Config::default() }
    }

    const KEY: &[(&str, &str)] = &[(KEY_ID, "AKID"), (SECRET, "sesame"), (TOKEN, "token"), ("AWS_REGION", "us-west-2")];

    fn find(asked: &Asked, config: Option<&Config>, variables: Lookup<'_>) -> Result<Access, AccessError> {
        Access::put_together(asked, config.map(|config| (Path::new("g.yaml"), config)), variables)
    }

    #[test]
    fn the_file_has_url_and_key() {
        let config = file("0.0.0.0:9001");
        let access = find(&Asked::default(), Some(&config), &table(KEY)).unwrap();
        assert_eq!(access.endpoint.as_str(), "http://127.0.0.1:9001/");
        // A key of the variables is for another service, most likely.
        assert_eq!((&*access.access_key_id, &*access.origin), ("FILEFILEFILEFILE", "g.yaml"));
        // Where both have a region, the variable's counts.
        assert_eq!((&*access.region, access.account.as_deref()), ("us-west-2", Some("123456789012")));
        assert_eq!(find(&Asked::default(), Some(&config), &table(&[])).unwrap().region, "eu-west-1");
        let six = find(&Asked::default(), Some(&file("[::]:9001")), &table(&[])).unwrap();
        assert_eq!(six.endpoint.as_str(), "http://[::1]:9001/");
    }

    #[test]
    fn a_url_that_is_said_comes_with_the_key_of_the_variables() {
        let config = file("127.0.0.1:9001");
        let asked = Asked { endpoint: Some("https://gw.example/base".parse().unwrap()), ..Asked::default() };
        let access = find(&asked, Some(&config), &table(KEY)).unwrap();
        assert_eq!((access.endpoint.as_str(), &*access.access_key_id), ("https://gw.example/base", "AKID"));
        assert_eq!(access.session_token.unwrap().expose(), "token");
        assert_eq!(find(&asked, Some(&config), &table(&[])).unwrap().origin, "g.yaml");
        let variable = table(&[
            ("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE_CONTROL", "http://aws.example"),
            ("SESSIONGATE_CONTROL", "http://own.example"),
        ]);
        let find_with = |config: Option<&Config>| {
            let both = |name: &str| variable(name).or_else(|| table(KEY)(name));
            find(&Asked::default(), config, &both).unwrap()
        };
        assert_eq!(find_with(None).endpoint.as_str(), "http://own.example/");
        // Whoever names a file means its gateways, whatever else a shell has set.
        let access = find_with(Some(&config));
        assert_eq!((access.endpoint.as_str(), &*access.origin), ("http://127.0.0.1:9001/", "g.yaml"));
        let access = find_with(Some(&file("127.0.0.1:0")));
        assert_eq!((access.endpoint.as_str(), &*access.origin), ("http://own.example/", KEY_ID));
        let same = Asked { endpoint: Some("http://127.0.0.1:9001".parse().unwrap()), ..Asked::default() };
        assert_eq!(find(&same, Some(&config), &table(KEY)).unwrap().origin, "g.yaml");
        let access = find(&Asked::default(), None, &table(KEY)).unwrap();
        assert_eq!(access.endpoint.as_str(), "http://127.0.0.1:8081/");
    }

    #[test]
    fn what_is_missing_is_said() {
        let says = |asked: &Asked, config: Option<&Config>, variables: Lookup<'_>| {
            find(asked, config, variables).unwrap_err().to_string()
        };
        let nothing = table(&[]);
        assert!(says(&Asked::default(), None, &nothing).contains("AWS_ACCESS_KEY_ID"));
        assert!(says(&Asked::default(), None, &table(&[(KEY_ID, "AKID"), (SECRET, "")])).contains(SECRET));
        assert!(says(&Asked::default(), Some(&Config::default()), &nothing).contains("g.yaml has no `control`"));
        assert!(says(&Asked::default(), Some(&file("127.0.0.1:0")), &nothing).contains("--endpoint"));
        for wrong in ["ftp://a", "http://a/?b=c", "http://user:sesame@a/"] {
            let asked = Asked { endpoint: Some(wrong.parse().unwrap()), ..Asked::default() };
            let text = says(&asked, None, &table(KEY));
            assert!(text.contains("--endpoint") && !text.contains("sesame"), "{text}");
        }
        assert!(
            says(&Asked::default(), None, &table(&[("SESSIONGATE_CONTROL", "oops")])).contains("SESSIONGATE_CONTROL")
        );
    }

    #[test]
    fn a_secret_is_not_shown() {
        let shown = format!("{:?}", find(&Asked::default(), None, &table(KEY)).unwrap());
        assert!(!shown.contains("sesame") && !shown.contains("token"), "{shown}");
    }
}
