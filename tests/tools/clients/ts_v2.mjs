// The official TypeScript SDK, 2.x line, as a client of either era: `ts_v2.mjs URL [--era modern] …`, options in
// ts_checks.mjs.

import { Client, LOG_LEVEL_META_KEY, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { main } from './ts_checks.mjs';
import { need } from './ts_host.mjs';

const REVISIONS = { legacy: '2025-11-25', modern: '2026-07-28' };
const lists = {
  'tools/list': 'listTools',
  'prompts/list': 'listPrompts',
  'resources/list': 'listResources',
  'resources/templates/list': 'listResourceTemplates',
};

const makeAdapter = ({ era }) => ({
  // "Resource not found" is -32602 to this line's callers in every era, where the error says which resource: servers on older
  // releases of the SDK leave an error's data out.
  foldsNotFound: true,
  async connect(url, host, fetch) {
    const modern = era === 'modern';
    const client = new Client(
      { name: 'sessiongate-ts-v2', version: '1.0.0' },
      {
        capabilities: { elicitation: { form: {}, url: {} }, sampling: {}, roots: { listChanged: true } },
        versionNegotiation: { mode: modern ? 'auto' : 'legacy' },
      },
    );
    client.setRequestHandler('elicitation/create', ({ params }) => host.elicit(params));
    client.setRequestHandler('sampling/createMessage', ({ params }) => host.sample(params));
    client.setRequestHandler('roots/list', () => ({ roots: host.roots }));
    client.fallbackNotificationHandler = async (notification) => host.notice(notification);
    const transport = new StreamableHTTPClientTransport(new URL(url), { fetch });
    await client.connect(transport);
    const wanted = REVISIONS[era];
    need(client.getNegotiatedProtocolVersion() === wanted, `wanted ${wanted}, negotiated ${client.getNegotiatedProtocolVersion()}`);
    const close = async () => {
      await transport.terminateSession().catch(() => {});
      await client.close();
    };
    return { client, transport, close };
  },
  // Without a cursor this line follows all pages itself: what comes back is the whole list.
  page: (client, method, cursor) => client[lists[method]](cursor ? { cursor } : undefined, { cacheMode: 'bypass' }),
  call(client, params, options) {
    return client.callTool(this.level ? { ...params, _meta: { [LOG_LEVEL_META_KEY]: this.level } } : params, options);
  },
  async setLevel(client, level) {
    // In 2026-07-28 there is no level of the session: each request says its own.
    if (era === 'modern') this.level = level;
    else await client.setLoggingLevel(level);
  },
  async watch(client, uri) {
    if (era === 'modern') return this.listen(client, { resourceSubscriptions: [uri] });
    await client.subscribeResource({ uri });
    return () => client.unsubscribeResource({ uri });
  },
  // To a legacy client changes of lists come unasked.
  watchTools(client) {
    return era === 'modern' ? this.listen(client, { toolsListChanged: true }) : () => {};
  },
  async listen(client, filter) {
    const subscription = await client.listen(filter);
    const honored = JSON.stringify(subscription.honoredFilter);
    need(Object.keys(filter).every((key) => subscription.honoredFilter[key]), `the subscription was not honoured: ${honored}`);
    return () => subscription.close();
  },
});

await main(makeAdapter, { eras: ['legacy', 'modern'] });
