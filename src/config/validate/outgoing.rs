//! What the gateway itself asks: interceptors, AWS, and where hosts are.

use std::time::Duration;

use sessiongate_targets::HostMap;
use sessiongate_targets::aws::{AwsIdentity, LambdaArn, is_region};

use super::{Rules, has_user, minutes};
use crate::config::error::{ConfigError, KeyPath};
use crate::config::model::{AwsConfig, Config, GatewayConfig, InterceptionPoint, RoleConfig};

/// Functions that nothing could be signed for, with this environment. It is another environment that checks a file than
/// the one that serves it, maybe: this is for whoever asks, and no reason not to serve the rest.
#[must_use]
pub fn unsigned(config: &Config, variable: impl Fn(&str) -> Option<String>) -> Vec<ConfigError> {
    let identity = match &config.aws {
        Some(aws) => aws.identity(variable),
        None => AwsIdentity::from_env(variable),
    };
    if identity.credentials.is_some() {
        return Vec::new();
    }
    let mut wrong = Vec::new();
    for (at, gateway) in config.gateways.iter().enumerate() {
        for (of, interceptor) in gateway.interceptors.iter().enumerate() {
            // One with a URL of its own is asked without a signature.
            if interceptor.lambda.as_ref().is_none_or(|arn| config.endpoints.contains_key(arn)) {
                continue;
            }
            let path = KeyPath::default().key("gateways").index(at).key("interceptors").index(of).key("lambda");
            let remedy = "set `aws.access_key_id` and `aws.secret_access_key`, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
                          or give the function a URL in `endpoints`";
            wrong.push(ConfigError::at(path, "cannot be invoked: there is no key to sign with").remedy(remedy));
        }
    }
    wrong
}

impl Rules {
    pub(super) fn outgoing(&mut self, config: &Config, root: &KeyPath) {
        for (name, endpoint) in &config.endpoints {
            if let Err(error) = HostMap::new([(name.clone(), endpoint.url().clone())]) {
                let remedy = "map a host, a service (`lambda`, `s3`, `sts`) or the ARN of a function to a plain URL";
                self.say(root.key("endpoints").key(name), error.to_string(), remedy);
            }
        }
        if let Some(aws) = &config.aws {
            self.aws(aws, &root.key("aws"));
        }
    }

    fn aws(&mut self, aws: &AwsConfig, path: &KeyPath) {
        let remedy = "give both, or neither and let the environment say";
        match (&aws.access_key_id, &aws.secret_access_key) {
            (Some(_), None) => self.say(path.key("secret_access_key"), "is missing", remedy),
            (None, Some(_)) => self.say(path.key("access_key_id"), "is missing", remedy),
            (None, None) if aws.session_token.is_some() => {
                self.say(path.key("session_token"), "belongs to an access key", remedy);
            }
            _ => {}
        }
        if let Some(region) = aws.region.as_ref().filter(|region| !is_region(region)) {
            let remedy = "write one such as us-east-1, or leave it out";
            self.say(path.key("region"), format!("`{region}` is not the name of a region"), remedy);
        }
        for (role, key) in aws.roles.iter().flatten() {
            let path = path.key("roles").key(role);
            if role != "*" && !(role.starts_with("arn:") && role.contains(":role/")) {
                let remedy = "write `arn:aws:iam::{account}:role/{name}`; `*` and `?` stand for what varies";
                self.say(path.clone(), format!("`{role}` is not the ARN of a role"), remedy);
            }
            if let RoleConfig::Key(key) = key
                && (key.access_key_id.is_empty() || key.secret_access_key.expose().is_empty())
            {
                self.say(path, "has an empty key", "give it one, or say `own` or `assume`");
            }
        }
    }

    pub(super) fn interceptors(&mut self, gateway: &GatewayConfig, path: &KeyPath) {
        let mut taken: Vec<InterceptionPoint> = Vec::new();
        for (at, interceptor) in gateway.interceptors.iter().enumerate() {
            let path = path.index(at);
            match (&interceptor.lambda, &interceptor.url) {
                (Some(arn), None) => {
                    if let Err(error) = arn.parse::<LambdaArn>() {
                        self.say(path.key("lambda"), format!("`{arn}` {error}"), "copy it from the function's page");
                    }
                }
                (None, Some(url)) if has_user(url.url()) => {
                    self.say(
                        path.key("url"),
                        "has a user or a password",
                        "let the hook's listener decide who may call",
                    );
                }
                (None, Some(_)) => {}
                (both, _) => {
                    let message =
                        if both.is_some() { "has `lambda` and `url`" } else { "has neither `lambda` nor `url`" };
                    self.say(path.clone(), message, "give one of them");
                }
            }
            if interceptor.points.is_empty() {
                self.say(path.key("points"), "is empty", "take `request`, `response` or both");
            }
            let mut own: Vec<InterceptionPoint> = Vec::new();
            for point in &interceptor.points {
                let (message, remedy) = match (own.contains(point), taken.contains(point)) {
                    (true, _) => (format!("has `{point}` twice"), "once is enough"),
                    (false, true) => {
                        (format!("has `{point}`, which another interceptor has"), "give each point to one interceptor")
                    }
                    (false, false) => {
                        own.push(*point);
                        continue;
                    }
                };
                self.say(path.key("points"), message, remedy);
            }
            taken.extend(own);
            self.lasts(path.key("timeout"), interceptor.timeout, Duration::from_millis(100), minutes(15));
        }
    }
}
