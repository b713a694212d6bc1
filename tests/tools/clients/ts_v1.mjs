// The official TypeScript SDK, 1.x line, as a client: `ts_v1.mjs URL …`, options in ts_checks.mjs.

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import * as types from '@modelcontextprotocol/sdk/types.js';
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
      { name: 'sessiongate-ts-v1', version: '1.0.0' },
      { capabilities: { elicitation: { form: {}, url: {} }, sampling: {}, roots: { listChanged: true } } },
    );
    client.setRequestHandler(types.ElicitRequestSchema, ({ params }) => host.elicit(params));
    client.setRequestHandler(types.CreateMessageRequestSchema, ({ params }) => host.sample(params));
    client.setRequestHandler(types.ListRootsRequestSchema, () => ({ roots: host.roots }));
    client.fallbackNotificationHandler = async (notification) => host.notice(notification);
    const transport = new StreamableHTTPClientTransport(new URL(url), { fetch });
    await client.connect(transport);
    const close = async () => {
      await transport.terminateSession().catch(() => {});
      await client.close();
    };
    return { client, transport, close };
  },
  page: (client, method, cursor) => client[lists[method]](cursor ? { cursor } : {}),
  call: (client, params, options) => client.callTool(params, undefined, options),
  setLevel: (client, level) => client.setLoggingLevel(level),
  async watch(client, uri) {
    await client.subscribeResource({ uri });
    return () => client.unsubscribeResource({ uri });
  },
  // Changes of lists come unasked.
  watchTools: async () => () => {},
};

await main(() => adapter, { eras: ['legacy'], revisions: ['2025-11-25'] });
