// The official TypeScript SDK, 2.x line, on the handshake era, as a client: `ts_v2.mjs URL [--fixture-prefix P] [--many] [--only CHECK]`.

import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { main } from './ts_checks.mjs';

const lists = {
  'tools/list': 'listTools',
  'prompts/list': 'listPrompts',
  'resources/list': 'listResources',
  'resources/templates/list': 'listResourceTemplates',
};

const adapter = {
  async connect(url, host, fetch) {
    const client = new Client(
      { name: 'sessiongate-ts-v2', version: '1.0.0' },
      {
        capabilities: { elicitation: { form: {}, url: {} }, sampling: {}, roots: { listChanged: true } },
        versionNegotiation: { mode: 'legacy' },
      },
    );
    client.setRequestHandler('elicitation/create', ({ params }) => host.elicit(params));
    client.setRequestHandler('sampling/createMessage', ({ params }) => host.sample(params));
    client.setRequestHandler('roots/list', () => ({ roots: host.roots }));
    client.fallbackNotificationHandler = async (notification) => host.notice(notification);
    const transport = new StreamableHTTPClientTransport(new URL(url), { fetch });
    await client.connect(transport);
    const close = async () => {
      await transport.terminateSession().catch(() => {});
      await client.close();
    };
    return { client, transport, close };
  },
  // Without a cursor this line follows all pages itself: what comes back is the whole list.
  page: (client, method, cursor) => client[lists[method]](cursor ? { cursor } : undefined, { cacheMode: 'bypass' }),
  call: (client, params, options) => client.callTool(params, options),
};

await main(adapter);
