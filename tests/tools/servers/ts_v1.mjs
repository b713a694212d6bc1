// The official TypeScript SDK, 1.x line, as a server over streamable HTTP: `ts_v1.mjs [PORT [NAME [PACKAGE]]]`. Legacy
// revisions only.
//
// With port 0 (the default) the system chooses one; the name is part of the resource's URI. When it is ready to accept, the
// address is printed as one line on stdout.

import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { packagesOf, revision, serve, text } from './serving.mjs';

const [port = '0', name = 'ts-v1', sdk = '@modelcontextprotocol/sdk'] = process.argv.slice(2);
const load = packagesOf('sdk');
const { McpServer } = load(`${sdk}/server/mcp.js`);
const { StreamableHTTPServerTransport } = load(`${sdk}/server/streamableHttp.js`);
// Each release knows the schemas of its own zod only.
const { z } = createRequire(load.resolve(`${sdk}/server/mcp.js`))('zod');

const STEPS = 3;
const person = {
  type: 'object',
  properties: { name: { type: 'string' }, age: { type: 'integer' } },
  required: ['name', 'age'],
};

function fixtures() {
  const server = new McpServer({ name: 'sdk-ts-v1', version: '1.0.0' }, { instructions: 'Fixtures of the TypeScript SDK, 1.x.' });
  server.registerTool('echo', { description: 'Says the message, and the revision in which it came.', inputSchema: { message: z.string() } }, ({ message }, extra) =>
    text(`${message} in ${revision(extra.requestInfo?.headers)}`),
  );
  server.registerTool('progress', { description: 'Reports each of its steps as progress.' }, async ({ _meta, sendNotification }) => {
    const progressToken = _meta?.progressToken;
    for (let step = 1; progressToken !== undefined && step <= STEPS; step += 1) {
      await sendNotification({ method: 'notifications/progress', params: { progressToken, progress: step, total: STEPS, message: `step ${step}` } });
    }
    return text(`${STEPS} steps`);
  });
  server.registerTool('ask', { description: 'Asks who is there, by a form in the middle of the call.' }, async ({ requestId }) => {
    const { action, content } = await server.server.elicitInput({ message: 'Who is there?', requestedSchema: person }, { relatedRequestId: requestId });
    return text(action === 'accept' ? `${content.name} is ${content.age}` : action);
  });
  server.registerTool('fail', { description: 'Fails, as a result and not as an error of the protocol.' }, () => {
    throw new Error('it broke on purpose');
  });
  server.registerPrompt('greet', { description: 'A greeting.', argsSchema: { name: z.string() } }, ({ name: whom }) => ({
    messages: [{ role: 'user', content: { type: 'text', text: `Greet ${whom}.` } }],
  }));
  server.registerResource('note', `fixture://${name}/note`, { description: 'A note.', mimeType: 'text/plain' }, ({ href }) => ({
    contents: [{ uri: href, mimeType: 'text/plain', text: `a note of ${name}` }],
  }));
  return server;
}

// === a transport for each session ===

const sessions = new Map();

async function opened() {
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => sessions.set(id, transport),
    onsessionclosed: (id) => sessions.delete(id),
  });
  await fixtures().connect(transport);
  return transport;
}

serve(async (request, response) => {
  const id = request.headers['mcp-session-id'];
  try {
    if (id && !sessions.has(id)) {
      response.writeHead(404).end();
      return;
    }
    await (sessions.get(id) ?? (await opened())).handleRequest(request, response);
  } catch (error) {
    console.error(error);
    response.headersSent ? response.end() : response.writeHead(500).end();
  }
}, Number(port));
