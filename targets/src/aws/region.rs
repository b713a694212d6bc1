//! Where the services of a region are.

use url::Url;

use crate::outbound::FetchError;

/// Whether a text can be the name of a region: it becomes a part of a host name.
#[must_use]
pub fn is_region(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// The public URL of a service; `path` is encoded, without the first slash.
pub(super) fn service_url(service: &str, region: &str, path: &str) -> Result<Url, FetchError> {
    let refuse = |detail: String| FetchError::AddressRefused { detail };
    if !is_region(region) {
        return Err(refuse("`aws.region` is not the name of a region".into()));
    }
    let cloud = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    Url::parse(&format!("https://{service}.{region}.{cloud}/{path}")).map_err(|error| refuse(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_a_part_of_the_host_and_nothing_else() {
        let url = |region: &str| service_url("sts", region, "").map(String::from).ok();
        assert_eq!(url("eu-west-1").as_deref(), Some("https://sts.eu-west-1.amazonaws.com/"));
        assert_eq!(url("cn-north-1").as_deref(), Some("https://sts.cn-north-1.amazonaws.com.cn/"));
        for bad in ["", "evil.example/", "EU", &"a".repeat(33)] {
            assert_eq!(url(bad), None, "{bad}");
        }
    }
}
