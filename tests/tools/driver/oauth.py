"""What clients that sign in run against: a real authorization server, a target of each era, and one process with two gateways that
want its tokens, of the configuration file and of the control plane."""

import contextlib
import json
import re

from . import agentcore

ISSUER = re.compile(r"authorization server: (http://127\.0\.0\.1:\d+)")
MODERN = "2026-07-28"
LINES = ("python-v1", "python-v2", "ts-v1", "ts-v2")
SUITES = {f"oauth-{line}": (line, "legacy") for line in LINES} | {f"oauth-{line}-{MODERN}": (line, "modern") for line in LINES if line.endswith("v2")}
# Targets by name, and what the reference server of each is started with.
TARGETS = {"new": ["--era", "both"], "old": ["--era", "legacy"]}
CONTROL_LIMIT_S = 60
NOBODY = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true"}


def command(suite, cache, folder):
    """What runs the client of this suite."""
    line, era = SUITES[suite]
    if line.startswith("python"):
        program = [cache / "python" / f"mcp-{line[-2:]}" / "bin" / "python", folder / "python_client.py"]
    else:
        program = [cache / "bin" / "node", folder / "ts_client.mjs", line[-2:]]
    return ["env", "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1", "PYTHONDONTWRITEBYTECODE=1", *program, era]


def configuration(folder, issuer, targets, scope):
    """JSON is YAML, so the file needs no writer of its own."""
    shape = agentcore.configuration(folder, issuer, {})
    authorizer = {"type": "jwt", "discovery_url": f"{issuer}/.well-known/oauth-authorization-server", "allowed_scopes": [scope], "strict_audience": True}
    listed = [{"name": name, "mcp": {"url": url}} for name, url in targets.items()]
    return {**shape, "endpoints": {}, "gateways": [{"name": "filed", "path": "/mcp", "authorizer": authorizer, "targets": listed}]}


class Operator:
    """Who changes gateways by the control plane."""

    def __init__(self, servers, suite, binary, config, endpoint):
        self.servers, self.suite, self.binary = servers, suite, binary
        self.flags = ["--config", config, "--endpoint", endpoint, "--wait", "--output", "json"]

    def command(self, *words):
        return [self.binary, *words, *self.flags]

    def run(self, *words):
        """The object that comes of it."""
        name = f"{words[0]}-{words[1]}-{self.suite}"
        code, output = self.servers.execute(name, self.command(*words), CONTROL_LIMIT_S, NOBODY)
        if code != 0:
            raise ValueError(f"{name}: exit {code}: {output[-600:]}")
        return json.loads(output[output.index("{") :])


@contextlib.contextmanager
def world(servers, suite, node, issuer, binary, reference, folder):
    """Starts all of it; the file that tells a client about it."""
    folder = folder / suite
    folder.mkdir(parents=True, exist_ok=True)
    started = [servers.start(f"issuer-{suite}", [node, issuer], announced=ISSUER)]
    try:
        started += [servers.start(f"reference-{suite}-{name}", [reference, "--port", "0", *more]) for name, more in TARGETS.items()]
        issuer, targets = started[0].url, {name: program.url for name, program in zip(TARGETS, started[1:], strict=True)}
        config, stricter = folder / "gateway.yaml", folder / "stricter.yaml"
        for path, scope in ((config, "invoke"), (stricter, "admin")):
            path.write_text(json.dumps(configuration(folder, issuer, targets, scope), indent=2))
        gateway = servers.start(f"gateway-{suite}", [binary, "serve", "--config", config], not_these=targets.values(), environment=NOBODY)
        started.append(gateway)
        # It is said before any gateway.
        operator = Operator(servers, suite, binary, config, agentcore.CONTROL.search(gateway.log.read_text()).group(1))
        rules = ["--discovery-url", f"{issuer}/.well-known/openid-configuration", "--scope", "invoke"]
        signed = operator.run("gateway", "create", "signed", *rules, "--sessions", "1h", "--streaming")["gatewayUrl"]
        # Its URL is known now: tokens must be for it.
        operator.run("gateway", "update", "signed", "--audience", signed)
        for name, url in targets.items():
            operator.run("target", "create", "signed", name, "--url", url)
        gateways = [
            {"name": "file", "url": gateway.url, "registers": True, "tighten": ["cp", stricter, config]},
            {"name": "control", "url": signed, "registers": False, "tighten": operator.command("gateway", "update", "signed", "--scope", "admin")},
        ]
        path = folder / "world.json"
        path.write_text(json.dumps({"issuer": issuer, "gateways": gateways}, default=str))
        yield path
    finally:
        servers.end(started)
