"""What a session of 2026-07-28 does in its own way, for the SDK's `Client` and FastMCP's alike."""

import contextlib

from mcp.client.subscriptions import listen

REVISION = "2026-07-28"
LOG_LEVEL = "io.modelcontextprotocol/logLevel"


def about(client):
    """What was negotiated; an error where the handshake took its place."""
    if client.protocol_version != REVISION:
        raise RuntimeError(f"wanted {REVISION}, negotiated {client.protocol_version}")
    server = client.server_info
    return f"{server.name} {server.version}, {REVISION}" if server else f"a server without a name, {REVISION}"


class ModernWays:
    """Goes before the legacy session class among a class's bases."""

    level = None

    async def set_level(self, level):
        # There is no level of the session: each request says its own.
        self.level = level

    def meta(self):
        return {LOG_LEVEL: self.level} if self.level else None

    @contextlib.asynccontextmanager
    async def watching(self, uri):
        async with listen(self.inner.session, resource_subscriptions=[uri]) as subscription:
            if uri not in (subscription.honored.resource_subscriptions or []):
                raise AssertionError(f"the subscription was not honoured: {subscription.honored}")
            yield

    @contextlib.asynccontextmanager
    async def watching_tools(self):
        async with listen(self.inner.session, tools_list_changed=True) as subscription:
            if not subscription.honored.tools_list_changed:
                raise AssertionError(f"the subscription was not honoured: {subscription.honored}")
            yield
