//! Strings that fit a pattern of the model and strings that do not, written by hand: an oracle that does not share the code's mistakes.

/// A pattern of the model with what fits and what does not.
#[derive(Debug, Clone, Copy)]
pub struct Example {
    /// As the model has it.
    pub pattern: &'static str,
    /// What fits. Samples use the first one.
    pub fits: &'static [&'static str],
    /// What does not.
    pub fails: &'static [&'static str],
}

/// Values of shapes that have no pattern, where any text would be odd.
pub const BY_SHAPE: &[(&str, &str)] = &[
    ("BedrockAgentcoreResourceArn", "arn:aws:bedrock-agentcore:us-east-1:123456789012:gateway/sample-abcdefghij"),
    ("HttpHeaderName", "X-Sample"),
    ("McpVersion", "2025-11-25"),
    ("ResourcePolicyBody", r#"{"Version":"2012-10-17","Statement":[]}"#),
    ("StickinessConfigurationIdentifierString", "$context.header.x-session-id"),
];

/// Every pattern that is in the model; a test says so.
pub const BY_PATTERN: &[Example] = &[
    example(r"[\x21\x23-\x5B\x5D-\x7E]+", &["gateway:read", "!#~"], &["a b", "a\"b", "a\\b", "é", "a\n"]),
    example(
        "arn:([^:]*):([^:]*):([^:]*):([0-9]{12})?:(.+)",
        &[
            "arn:aws:bedrock-agentcore:us-east-1:123456789012:token-vault/default/oauth2credentialprovider/sample",
            "arn:aws:acps:us-east-1:123456789012:token-vault/default/apikeycredentialprovider/sample",
            "arn:::::x",
        ],
        &["arn:aws:x:us-east-1:1234:y", "arn:aws:x:us-east-1:123456789012:", "sample"],
    ),
    example("[0-9]{12}", &["123456789012"], &["12345678901", "1234567890123", "12345678901a", "123456789012\n"]),
    example(
        "s3://.{1,2043}",
        &["s3://bucket/folder/tools.json", "s3://é"],
        &["s3://", "https://bucket/x", "s3://a\nb"],
    ),
    example(
        "arn:aws(-[^:]+)?:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+",
        &[
            "arn:aws:secretsmanager:us-east-1:123456789012:secret:sample-AbCdEf",
            "arn:aws-cn:secretsmanager:x:123456789012:secret:x",
        ],
        &["arn:aws:secretsmanager:us-east-1:123456789012:secret:", "arn:aws-:secretsmanager:x:123456789012:secret:x"],
    ),
    example(
        "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,256}",
        &["0b8e7f9c-4a1d-4c55-9f0e-2b6d1a7c3e48", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"],
        &[
            "-b8e7f9c-4a1d-4c55-9f0e-2b6d1a7c3e48",
            "0b8e7f9c-4a1d-4c55-9f0e-2b6d1a7c3e4-",
            "0b8e7f9c_4a1d_4c55_9f0e_2b6d1a7c3e48",
        ],
    ),
    example("[a-zA-Z][a-zA-Z0-9_-]*", &["sample_1-a", "s"], &["1sample", "_sample", "sam ple"]),
    example(
        r"(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)",
        &["1.0.12", "0.0.0"],
        &["1.0.01", "1.0.", "v1.0.0", "1.0.0-1", "1.0.\u{0663}"],
    ),
    example(
        r"[^\s?#]+/\.well-known/(openid-configuration|oauth-authorization-server)(/[^\s?#]+)?",
        &[
            "https://issuer.example/.well-known/openid-configuration",
            "https://issuer.example/.well-known/oauth-authorization-server/tenant/a",
        ],
        &[
            "https://issuer.example/",
            "https://issuer.example/.well-known/openid-configuration?a=b",
            "https://issuer.example/.well-known/openid-configuration/",
            "https://issuer.example/Xwell-known/openid-configuration",
            "/.well-known/openid-configuration",
        ],
    ),
    example(
        "arn:aws(|-cn|-us-gov):bedrock-agentcore:[a-z0-9-]{1,20}:[0-9]{12}:gateway/([0-9a-z][-]?){1,48}-[a-z0-9]{10}",
        &["arn:aws:bedrock-agentcore:us-east-1:123456789012:gateway/sample-abcdefghij"],
        &["arn:aws:bedrock-agentcore:us-east-1:123456789012:gateway/Sample-abcdefghij", "sample-abcdefghij"],
    ),
    example(
        "([0-9a-z][-]?){1,100}-[0-9a-z]{10}",
        &["sample-abcdefghij", "a-0123456789", "my-gateway-abcdefghij"],
        &[
            "sample",
            "Sample-abcdefghij",
            "sample-abcdefghi",
            "-sample-abcdefghij",
            "a---abcdefghij",
            "sample-abcdefghij/x",
        ],
    ),
    example(
        "([0-9a-zA-Z][-]?){1,48}",
        &["Sample-Gateway-1", "a-", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"],
        &["", "-a", "a--b", "a_b", "a b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "é"],
    ),
    example(r"\S*", &["bmV4dA==", "é"], &["a b", "a\tb", "a\n"]),
    example(
        r"arn:aws(-[^:]+)?:bedrock-agentcore:[a-z0-9-]+:[0-9]{12}:policy-engine\/[a-zA-Z][a-zA-Z0-9-_]{0,99}-[a-zA-Z0-9_]{10}",
        &["arn:aws:bedrock-agentcore:us-east-1:123456789012:policy-engine/sample-abcdefghij"],
        &["arn:aws:bedrock-agentcore:us-east-1:123456789012:policy-engine/1sample-abcdefghij", "sample-abcdefghij"],
    ),
    example("[a-zA-Z0-9-]+", &["us-east-1"], &["us_east_1", "us east"]),
    example("[a-zA-Z0-9._-]+", &["execute-api", "a.b_c"], &["execute api", "a/b"]),
    example("[A-Za-z0-9_.-:]+", &["custom:claim/name_1", "a.b"], &["a-b", "a b"]),
    example(r"/[a-zA-Z0-9\-\._/{}]+", &["/v1/chat/completions", "/model/{id}"], &["/", "v1", "/a b", "/a?b"]),
    example(
        "arn:aws(|-cn|-us-gov):kms:[a-zA-Z0-9-]*:[0-9]{12}:key/[a-zA-Z0-9-]{36}",
        &["arn:aws:kms:us-east-1:123456789012:key/0b8e7f9c-4a1d-4c55-9f0e-2b6d1a7c3e48"],
        &[
            "arn:aws:kms:us-east-1:123456789012:alias/sample",
            "arn:aws-x:kms:us-east-1:123456789012:key/0b8e7f9c-4a1d-4c55-9f0e-2b6d1a7c3e48",
        ],
    ),
    example(
        r"arn:(aws[a-zA-Z-]*)?:lambda:([a-z]{2}(-gov)?-[a-z]+-\d{1}):(\d{12}):function:([a-zA-Z0-9-_.]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?",
        &[
            "arn:aws:lambda:us-east-1:123456789012:function:sample",
            "arn:aws:lambda:us-gov-west-1:123456789012:function:sam-p_l.e:$LATEST",
            "arn::lambda:eu-central-1:123456789012:function:sample:PROD",
        ],
        &[
            "arn:aws:lambda:us-east-1:123456789012:function:",
            "arn:aws:lambda:us-east-1:123456789012:function:sample:$OTHER",
            "arn:aws:lambda:us-east-12:123456789012:function:sample",
            "arn:aws:lambda:us-east-1:123456789012:layer:sample",
        ],
    ),
    example("[A-Za-z0-9_.-]+", &["sample-1_a.b"], &["sam ple", "sample:1", "é"]),
    example(
        "https://.*",
        &["https://target.example/mcp", "http://127.0.0.1:9/mcp"],
        &["ftp://target.example/", "target.example", "https://a\r\nb", "xhttps://a"],
    ),
    example(
        r"[a-zA-Z0-9\-\._\*\?@:]+(/[a-zA-Z0-9\-\._\*\?@:]+)*",
        &["openai/gpt-*", "anthropic.claude-v2:1"],
        &["openai/", "/gpt", "a//b", "a b"],
    ),
    example(r"[\s\S]+", &["any text", "\n"], &[""]),
    example(
        r"\w+:(\/?\/?)[^\s]+",
        &["https://app.example/callback", "app:done"],
        &["https:", "https://a b", "://a", "é://a"],
    ),
    example(
        r"https://[a-zA-Z0-9\-\.]+(:[0-9]{1,5})?(/.*)?",
        &["https://api.example:8443/v1", "http://api.example"],
        &["https://", "https://user@api.example/", "https://api.example:123456/", "https://api.example?x"],
    ),
    example(
        r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)(?:\.(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?))+",
        &["gateway.example.com", "a.b"],
        &["localhost", "-a.example", "a-.example", "a..b", "a.example.", "a.example:443"],
    ),
    example(
        r"arn:[a-z0-9\-]+:vpc-lattice:[a-zA-Z0-9\-]+:\d{12}:servicenetworkresourceassociation/snra-[0-9a-f]{17}",
        &["arn:aws:vpc-lattice:us-east-1:123456789012:servicenetworkresourceassociation/snra-0123456789abcdef0"],
        &["arn:aws:vpc-lattice:us-east-1:123456789012:servicenetworkresourceassociation/snra-0123456789abcdefg"],
    ),
    example(
        r"((rcfg-[0-9a-z]{17})|(arn:[a-z0-9\-]+:vpc-lattice:[a-zA-Z0-9\-]+:\d{12}:resourceconfiguration/rcfg-[0-9a-z]{17}))",
        &[
            "rcfg-0123456789abcdef0",
            "arn:aws:vpc-lattice:us-east-1:123456789012:resourceconfiguration/rcfg-0123456789abcdef0",
        ],
        &["rcfg-0123456789abcdef", "rcfg-0123456789abcdef00", "xrcfg-0123456789abcdef0"],
    ),
    example(
        r"arn:[a-z0-9\-]+:vpc-lattice:[a-zA-Z0-9\-]+:\d{12}:resourcegateway/rgw-[0-9a-z]{17}",
        &["arn:aws:vpc-lattice:us-east-1:123456789012:resourcegateway/rgw-0123456789abcdef0"],
        &["arn:aws:vpc-lattice:us-east-1:123456789012:resourcegateway/rgw-0123456789ABCDEF0"],
    ),
    example(
        "arn:aws(-[^:]+)?:iam::([0-9]{12})?:role/.+",
        &["arn:aws:iam::123456789012:role/sample", "arn:aws-us-gov:iam:::role/service-role/a"],
        &[
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:user/sample",
            "arn:aws:iam::12345:role/sample",
            "arn:aws:iam::123456789012:role/a\rb",
        ],
    ),
    example(
        "arn:aws(-[^:]+)?:bedrock-agentcore:[a-z0-9-]+:[0-9]{12}:runtime/[a-zA-Z][a-zA-Z0-9_]{0,47}-[a-zA-Z0-9]{10}",
        &["arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/sample-abcdefghij"],
        &[
            "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/sam-ple-abcdefghij",
            "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/sample",
        ],
    ),
    example(
        ".*([1-9][0-9]{0,4})|([a-zA-Z][a-zA-Z0-9_]{0,47}).*",
        &["DEFAULT", "12", "-9", "a b"],
        &["", "0", "-", "é"],
    ),
    example(
        "sg-(([0-9a-z]{8})|([0-9a-z]{17}))",
        &["sg-0123abcd", "sg-0123456789abcdef0"],
        &["sg-0123abc", "sg-0123abcd0", "0123abcd"],
    ),
    example("[a-zA-Z0-9_.-]+", &["api-version"], &["api version", "a=b"]),
    example(r"[^\x00-\x1F\x7F]*", &["2024-01-01 é", ""], &["a\nb", "a\u{0}", "\u{7f}"]),
    example("subnet-[0-9a-zA-Z]{8,17}", &["subnet-0123abcd"], &["subnet-0123abc", "subnet-0123456789abcdef01"]),
    example(r"[a-zA-Z0-9\s._:/=+@-]*", &["team a/b=c+d@e", "a\tb"], &["a#b", "é", "a\u{a0}b"]),
    example(
        "arn:(?:[^:]+)?:bedrock-agentcore:[a-z0-9-]+:[0-9]{12}:([a-z-]+/[^/]+)(?:/[a-z-]+/[^/]+)*",
        &[
            "arn:aws:bedrock-agentcore:us-east-1:123456789012:gateway/sample-abcdefghij",
            "arn:aws:bedrock-agentcore:us-east-1:123456789012:gateway/sample-abcdefghij/target/ABCDEFGHIJ",
        ],
        &[
            "arn:aws:bedrock-agentcore:us-east-1:123456789012:gateway",
            "arn:aws:s3:us-east-1:123456789012:gateway/sample-abcdefghij",
        ],
    ),
    example("[0-9a-zA-Z]{10}", &["ABCDEFGHIJ", "abc0123456"], &["ABCDEFGHI", "ABCDEFGHIJK", "ABCDE-GHIJ"]),
    example("([0-9a-zA-Z][-]?){1,100}", &["Sample-Target-1"], &["", "-a", "a--b", "a___b"]),
    example(
        "vpc-(([0-9a-z]{8})|([0-9a-z]{17}))",
        &["vpc-0123abcd", "vpc-0123456789abcdef0"],
        &["vpc-0123abc", "vpc-0123456789"],
    ),
    example(
        r"arn:[a-z0-9\-]+:wafv2:[a-z0-9\-]+:[0-9]{12}:regional/webacl/.+",
        &["arn:aws:wafv2:us-east-1:123456789012:regional/webacl/sample/1"],
        &[
            "arn:aws:wafv2:us-east-1:123456789012:global/webacl/sample/1",
            "arn:aws:wafv2:us-east-1:123456789012:regional/webacl/",
        ],
    ),
];

/// What there is for a pattern.
pub fn of_pattern(pattern: &str) -> Option<&'static Example> {
    BY_PATTERN.iter().find(|example| example.pattern == pattern)
}

const fn example(pattern: &'static str, fits: &'static [&'static str], fails: &'static [&'static str]) -> Example {
    Example { pattern, fits, fails }
}
