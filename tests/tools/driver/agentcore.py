"""What the clients of the control plane run against: moto for the cloud's other services, the reference server as a
target, and a gateway with a control plane. Nothing but environment variables tells the clients."""

import contextlib
import json
import re

from . import processes

ACCOUNT, REGION = "123456789012", "us-east-1"
KEY, SECRET = "AKIDEXAMPLEEXAMPLE", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"
READER, READER_SECRET = "AKIDREADERREADER0", "RfiCYEXAMPLEKEYwJalrXUtnFEMIK7MDENGbPx"
CONTROL = re.compile(r"control plane: (http://127\.0\.0\.1:\d+)")
# Beyond the defaults, where the defaults are not what is checked.
QUOTAS = {"agentcore-boto3": {"gateways": 8, "changes_per_second": 1000, "reads_per_second": 1000}}
SUITES = {
    "agentcore-boto3": "boto3_life.py",
    "agentcore-sdk": "sdk_life.py",
    "agentcore-toolkit": "toolkit_life.py",
}
MODEL = "agentcore-model"


def configuration(folder, moto, quotas):
    """JSON is YAML, so the file needs no writer of its own."""
    reading = ["bedrock-agentcore:Get*", "bedrock-agentcore:List*"]
    return {
        "listen": "127.0.0.1:0",
        "data_dir": str(folder / "data"),
        "allow_private_networks": ["127.0.0.0/8"],
        "endpoints": {f"cognito-idp.{REGION}.amazonaws.com": moto, "s3": moto, "sts": moto},
        "aws": {"region": REGION, "roles": {f"arn:aws:iam::{ACCOUNT}:role/*": "assume"}},
        "control": {
            "listen": "127.0.0.1:0",
            "account": ACCOUNT,
            "region": REGION,
            "credentials": [
                {"access_key_id": KEY, "secret_access_key": SECRET},
                {"access_key_id": READER, "secret_access_key": READER_SECRET, "permissions": reading},
            ],
            "quotas": quotas,
        },
    }


@contextlib.contextmanager
def world(servers, suite, python, binary, reference, folder):
    """Starts all of it; the environment of the client, and the URL of the server that targets lead to."""
    folder = folder / suite
    folder.mkdir(parents=True, exist_ok=True)
    keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": REGION}
    # Whoever runs this may have a cloud of their own.
    nobody = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true"}
    quiet = {"PYTHONDONTWRITEBYTECODE": "1", "HOME": str(folder), "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    port = processes.free_port()
    moto = f"http://127.0.0.1:{port}"
    # Without the managed policies the toolkit cannot give its roles any.
    command = [python.parent / "moto_server", "-H", "127.0.0.1", "-p", str(port)]
    started = [servers.start(f"moto-{suite}", command, address=f"{moto}/", environment={**keys, **quiet, "MOTO_IAM_LOAD_MANAGED_POLICIES": "true"})]
    try:
        started.append(servers.start(f"reference-{suite}", [reference, "--port", "0", "--era", "both"]))
        config = folder / "gateway.yaml"
        config.write_text(json.dumps(configuration(folder, moto, QUOTAS.get(suite, {})), indent=2))
        started.append(servers.start(f"gateway-{suite}", [binary, "serve", "--config", config], announced=CONTROL, environment={**keys, **nobody}))
        control = started[-1].url
        environment = {
            **keys,
            **nobody,
            **quiet,
            "AWS_ENDPOINT_URL": moto,
            "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE_CONTROL": control,
            "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE": control,
            "READER_KEY": READER,
            "READER_SECRET": READER_SECRET,
        }
        yield environment, started[1].url
    finally:
        servers.end(started)
