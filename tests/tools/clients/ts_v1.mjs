// The official TypeScript SDK, 1.x line, as a client: `ts_v1.mjs URL [--package NAME] …`, options in ts_checks.mjs.
//
// The package of the last release of 2025-06-18 makes it a client of that revision, those after it one of 2025-11-25.

import { main } from './ts_checks.mjs';
import { need } from './ts_host.mjs';

const at = process.argv.indexOf('--package');
const name = at < 0 ? '@modelcontextprotocol/sdk' : process.argv.splice(at, 2)[1];
const { Client } = await import(`${name}/client/index.js`);
const { StreamableHTTPClientTransport } = await import(`${name}/client/streamableHttp.js`);
const types = await import(`${name}/types.js`);
// Modes of elicitation came with 2025-11-25.
const elicitation = types.LATEST_PROTOCOL_VERSION < '2025-11-25' ? {} : { form: {}, url: {} };

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
      { capabilities: { elicitation, sampling: {}, roots: { listChanged: true } } },
    );
    client.setRequestHandler(types.ElicitRequestSchema, ({ params }) => host.elicit(params));
    client.setRequestHandler(types.CreateMessageRequestSchema, ({ params }) => host.sample(params));
    client.setRequestHandler(types.ListRootsRequestSchema, () => ({ roots: host.roots }));
    client.fallbackNotificationHandler = async (notification) => host.notice(notification);
    const transport = new StreamableHTTPClientTransport(new URL(url), { fetch });
    await client.connect(transport);
    need(transport.protocolVersion === types.LATEST_PROTOCOL_VERSION, `negotiated ${transport.protocolVersion}`);
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

await main(() => adapter, { eras: ['legacy'] });
