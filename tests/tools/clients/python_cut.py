"""An HTTP transport that can cut an event stream in the middle, as a bad network does. For httpx and its successor alike."""

import re


def cutting_transport(httpx):
    """Makes the transport class for one httpx-shaped module."""

    class CutStream(httpx.AsyncByteStream):
        def __init__(self, inner, owner, after):
            self.inner, self.owner, self.after = inner, owner, after

        async def __aiter__(self):
            seen = 0
            async for chunk in self.inner:
                self.owner.event_ids += len(re.findall(rb"(?m)^id:", chunk))
                seen += len(re.findall(rb"(?m)^data:[ ]*\{", chunk))
                yield chunk
                if seen >= self.after:
                    self.owner.cuts += 1
                    raise httpx.ReadError("cut by the test")

        async def aclose(self):
            await self.inner.aclose()

    class CuttingTransport(httpx.AsyncBaseTransport):
        def __init__(self):
            self.inner = httpx.AsyncHTTPTransport()
            self.after = None
            self.cuts = self.event_ids = 0
            self.resumed = False

        def arm(self, after):
            """The next POST answered with an event stream loses its connection after that many events with data."""
            self.after = after

        async def handle_async_request(self, request):
            self.resumed |= "last-event-id" in request.headers
            response = await self.inner.handle_async_request(request)
            sse = "text/event-stream" in response.headers.get("content-type", "")
            if self.after is not None and request.method == "POST" and sse:
                after, self.after = self.after, None
                response.stream = CutStream(response.stream, self, after)
            return response

        async def aclose(self):
            await self.inner.aclose()

    return CuttingTransport
