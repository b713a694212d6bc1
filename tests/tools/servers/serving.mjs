// What the TypeScript servers share: where their packages are, a listening socket, and the revision a request came in.

import http from 'node:http';
import { createRequire } from 'node:module';

// The revision before requests said theirs.
const UNSAID = '2025-03-26';

// Loads what an installed tool depends on; node_modules never lies in the work tree.
export const packagesOf = (tool) => createRequire(new URL(`../.cache/npm/${tool}/package.json`, import.meta.url));

// What the request was served as, whatever the session was opened with.
export const revision = (headers) => (headers?.get ? headers.get('mcp-protocol-version') : headers?.['mcp-protocol-version']) ?? UNSAID;

// Serves `listener(request, response)`; with port 0 the system chooses one.
export function serve(listener, port) {
  const server = http.createServer(listener);
  server.listen(port, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}/mcp`));
  process.on('SIGTERM', () => process.exit(0));
}
