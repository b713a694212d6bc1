// The official TypeScript SDK, 2.x line, as a server over streamable HTTP: `ts_v2.mjs [PORT [NAME]]`. Both eras at one address.
//
// With port 0 (the default) the system chooses one; the name is part of the resource's URI. When it is ready to accept, the
// address is printed as one line on stdout.

import { randomUUID } from 'node:crypto';
import { packagesOf, revision, serve, text } from './serving.mjs';

// The Inspector brings the server's half of this SDK along.
const load = packagesOf('inspector');
const { McpServer, WebStandardStreamableHTTPServerTransport, acceptedContent, createMcpHandler, inputRequired, inputResponse, isLegacyRequest } = load('@modelcontextprotocol/server');
const { getRequestListener } = load('@hono/node-server');
const { z } = load('zod');

const [port = '0', name = 'ts-v2'] = process.argv.slice(2);
const STEPS = 3;
const person = z.object({ name: z.string(), age: z.int() });

function fixtures() {
  const server = new McpServer({ name: 'sdk-ts-v2', version: '1.0.0' }, { instructions: 'Fixtures of the TypeScript SDK, 2.x.' });
  server.registerTool('echo', { description: 'Says the message, and the revision in which it came.', inputSchema: z.object({ message: z.string() }) }, ({ message }, { http }) =>
    text(`${message} in ${revision(http?.req?.headers)}`),
  );
  server.registerTool('progress', { description: 'Reports each of its steps as progress.' }, async ({ mcpReq }) => {
    const progressToken = mcpReq._meta?.progressToken;
    for (let step = 1; progressToken !== undefined && step <= STEPS; step += 1) {
      await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress: step, total: STEPS, message: `step ${step}` } });
    }
    return text(`${STEPS} steps`);
  });
  // One handler for both eras: in a session the SDK itself asks what is required, and calls again.
  server.registerTool('ask', { description: 'Asks who is there, by a form.' }, ({ mcpReq }) => {
    const answer = inputResponse(mcpReq.inputResponses, 'visitor');
    if (answer.kind === 'elicit' && answer.action !== 'accept') return text(answer.action);
    const visitor = acceptedContent(mcpReq.inputResponses, 'visitor', person);
    if (visitor) return text(`${visitor.name} is ${visitor.age}`);
    return inputRequired({ inputRequests: { visitor: inputRequired.elicit({ message: 'Who is there?', requestedSchema: person }) } });
  });
  server.registerTool('fail', { description: 'Fails, as a result and not as an error of the protocol.' }, () => {
    throw new Error('it broke on purpose');
  });
  server.registerPrompt('greet', { description: 'A greeting.', argsSchema: z.object({ name: z.string() }) }, ({ name: whom }) => ({
    messages: [{ role: 'user', content: { type: 'text', text: `Greet ${whom}.` } }],
  }));
  server.registerResource('note', `fixture://${name}/note`, { description: 'A note.', mimeType: 'text/plain' }, ({ href }) => ({
    contents: [{ uri: href, mimeType: 'text/plain', text: `a note of ${name}` }],
  }));
  return server;
}

// === a server for each session, or for each request ===

const modern = createMcpHandler(fixtures, { legacy: 'reject', onerror: console.error });
const sessions = new Map();

async function opened() {
  const transport = new WebStandardStreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => sessions.set(id, transport),
    onsessionclosed: (id) => sessions.delete(id),
  });
  await fixtures().connect(transport);
  return transport;
}

async function answered(request) {
  if (!(await isLegacyRequest(request))) return modern.fetch(request);
  const id = request.headers.get('mcp-session-id');
  if (id && !sessions.has(id)) return new Response(null, { status: 404 });
  return (sessions.get(id) ?? (await opened())).handleRequest(request);
}

serve(getRequestListener(answered), Number(port));
