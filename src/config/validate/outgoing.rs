//! What the gateway itself asks: interceptors, AWS, and where hosts are.

use std::time::Duration;

use sessiongate_targets::HostMap;
use sessiongate_targets::aws::LambdaArn;

use super::{Rules, has_user, minutes};
use crate::config::error::KeyPath;
use crate::config::model::{AwsConfig, Config, GatewayConfig, InterceptionPoint};

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
            for point in &interceptor.points {
                if taken.contains(point) {
                    let message = "has a point that another interceptor has, or has it twice";
                    self.say(path.key("points"), message, "give each point to one interceptor");
                }
                taken.push(*point);
            }
            self.lasts(path.key("timeout"), interceptor.timeout, Duration::from_millis(100), minutes(15));
        }
    }
}
