// What the TypeScript servers share: where their packages are, a listening socket, and fixtures as they are on the wire.

import { readFileSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';

// The revision before requests said theirs.
const UNSAID = '2025-03-26';
const BODY_LIMIT = 1 << 16;
export const INVALID_PARAMS = -32602;
export const RESOURCE_NOT_FOUND = -32002;
export const LEVELS = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'];
export const FIXTURES = JSON.parse(readFileSync(new URL('fixtures.json', import.meta.url), 'utf8'));

// Loads what an installed tool depends on; node_modules never lies in the work tree.
export const packagesOf = (tool) => createRequire(new URL(`../.cache/npm/${tool}/package.json`, import.meta.url));

// What the request was served as, whatever the session was opened with.
export const revision = (headers) => (headers?.get ? headers.get('mcp-protocol-version') : headers?.['mcp-protocol-version']) ?? UNSAID;

// Serves `listener(request, response)`, with port 0 on one that the system chooses; `touch(uri)` beside it is for changes
// that belong to nobody's call.
export function serve(listener, port, touch) {
  const server = http.createServer(async (request, response) => {
    if (!touch || request.url !== '/control/touch') return listener(request, response);
    let uri = '';
    for await (const chunk of request) if (uri.length < BODY_LIMIT) uri += chunk;
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ told: await touch(uri) }));
  });
  server.listen(port, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}/mcp`));
  process.on('SIGTERM', () => process.exit(0));
}

// === fixtures ===

export const text = (said) => ({ content: [{ type: 'text', text: said }] });
export const structured = (value) => ({ ...text(JSON.stringify(value)), structuredContent: value });

// All of them, in a fixed order.
export function toolsOf(toggled) {
  const page = (_, number) => ({ name: `page_${String(number).padStart(3, '0')}`, description: 'One of many', inputSchema: { type: 'object' } });
  return [...FIXTURES.tools, ...(toggled ? [FIXTURES.toggled] : []), ...Array.from({ length: FIXTURES.manyTools }, page)];
}

// One page of `tools/list`; nothing for a cursor that no page gave.
export function pageOf(items, cursor) {
  const start = Number((cursor ?? 'tools:0').replace('tools:', ''));
  if (!(start < items.length)) return undefined;
  const end = start + FIXTURES.pageSize;
  return { tools: items.slice(start, end), ...(end < items.length ? { nextCursor: `tools:${end}` } : {}) };
}

// What `resources/read` answers; nothing for an unknown one.
export function contents(uri) {
  if (FIXTURES.resources.some((r) => r.uri === uri)) {
    return { contents: [{ uri, mimeType: 'text/plain', text: 'This is the content of the static text resource.' }] };
  }
  const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1];
  return id && { contents: [{ uri, mimeType: 'application/json', text: JSON.stringify({ id }) }] };
}

// What `prompts/get` answers; nothing for an unknown one.
export function promptOf(name, args) {
  if (!FIXTURES.prompts.some((p) => p.name === name)) return undefined;
  const said = Object.entries(args ?? {}).map(([key, value]) => `${key}='${value}'`).join(', ') || 'nothing';
  return { messages: [{ role: 'user', content: { type: 'text', text: `Prompt with ${said}` } }] };
}
