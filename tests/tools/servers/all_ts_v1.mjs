// All fixtures of the matrix on the official TypeScript SDK, 1.x line, low level: `all_ts_v1.mjs [PORT [PACKAGE]]`.
//
// The same file serves the last release of 2025-06-18 and those of 2025-11-25: what came with the latter is offered where the
// SDK has it. The address is printed as one line on stdout when it is ready to accept.

import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { FIXTURES, INVALID_PARAMS, LEVELS, RESOURCE_NOT_FOUND, contents, packagesOf, pageOf, promptOf, serve, structured, text, toolsOf } from './serving.mjs';

const [port = '0', name = '@modelcontextprotocol/sdk'] = process.argv.slice(2);
const load = packagesOf('sdk');
const { Server } = load(`${name}/server/index.js`);
const { StreamableHTTPServerTransport } = load(`${name}/server/streamableHttp.js`);
const types = load(`${name}/types.js`);

const URL_ELICITATION_REQUIRED = -32042;
const HAS_URLS = 'ElicitRequestURLParamsSchema' in types;
const HAS_TASKS = 'CreateTaskResultSchema' in types;
const tasks = HAS_TASKS ? load(`${name}/experimental/tasks/stores/in-memory.js`) : undefined;
const LACKS = [...(HAS_URLS ? [] : ['sg_elicit_url', 'sg_url_required', 'test_reconnection']), ...(HAS_TASKS ? [] : ['sg_task'])];

const shared = { toggled: false, cancelled: 0 };
const sessions = new Map();
const visited = new Set();

const refuse = (code, message, data) => {
  const error = new Error(message);
  throw Object.assign(error, { code, data });
};
const listed = () => toolsOf(shared.toggled).filter((tool) => !LACKS.includes(tool.name));

// The events of one session's streams, for as long as the session lives.
class Events {
  #events = [];

  async storeEvent(streamId, message) {
    this.#events.push({ streamId, message });
    return String(this.#events.length - 1);
  }

  async getStreamIdForEventId(eventId) {
    return this.#events[Number(eventId)]?.streamId;
  }

  async replayEventsAfter(lastEventId, { send }) {
    const { streamId } = this.#events[Number(lastEventId)];
    for (let number = Number(lastEventId) + 1; number < this.#events.length; number += 1) {
      const event = this.#events[number];
      // Priming events have no message.
      if (event.streamId === streamId && 'jsonrpc' in (event.message ?? {})) await send(String(number), event.message);
    }
    return streamId;
  }
}

// Tells the sessions that subscribed to the resource; how many.
async function touch(uri) {
  const watching = [...sessions.values()].filter(({ uris }) => uris.has(uri));
  for (const { server } of watching) await server.sendResourceUpdated({ uri });
  return watching.length;
}

// === calls ===

const calls = {
  test_error_handling: () => ({ ...text('This tool intentionally returns an error for testing'), isError: true }),
  test_elicitation_sep1034_defaults: async ({ ask }) => structured(await ask('Please review these values', 'test_elicitation_sep1034_defaults')),
  async test_reconnection({ extra }) {
    extra.closeSSEStream?.();
    await pause(100);
    return text('The stream was closed and resumed.');
  },
  sg_whoami: ({ session, extra }) => structured({ client: session.server.getClientVersion(), capabilities: session.server.getClientCapabilities(), headers: extra.requestInfo?.headers }),
  sg_counter({ session }) {
    session.count += 1;
    return structured({ count: session.count });
  },
  sg_big: ({ args }) => text('x'.repeat(args.bytes ?? 1024)),
  async sg_progress({ args, extra }) {
    const { steps = 3, delay_ms: delay = 10 } = args;
    const progressToken = extra._meta?.progressToken;
    for (let step = 1; step <= steps; step += 1) {
      await pause(delay);
      if (progressToken !== undefined) {
        await extra.sendNotification({ method: 'notifications/progress', params: { progressToken, progress: step, total: steps, message: `step ${step}` } });
      }
    }
    return structured({ steps });
  },
  async sg_log({ args, session, extra }) {
    const { count = 3, level = 'info' } = args;
    for (let line = 0; line < count && LEVELS.indexOf(level) >= LEVELS.indexOf(session.level); line += 1) {
      await extra.sendNotification({ method: 'notifications/message', params: { level, data: { line }, logger: 'sdk-all' } });
    }
    return text('logged');
  },
  sg_elicit_form: async ({ ask }) => structured(await ask('Who are you?', 'sg_elicit_form')),
  async sg_elicit_two({ ask }) {
    const [first, second] = await Promise.all(['first', 'second'].map((which) => ask(`The ${which} of two questions`, which)));
    return structured({ first, second });
  },
  async sg_rounds({ args, ask }) {
    const answers = [];
    for (let round = 1; round <= (args.rounds ?? 3); round += 1) answers.push(await ask(`Round ${round}`, 'round'));
    return structured({ answers });
  },
  async sg_elicit_url({ session: { server }, extra }) {
    const elicitationId = randomUUID();
    const related = { relatedRequestId: extra.requestId };
    const { action } = await server.elicitInput({ mode: 'url', message: 'Please visit this page', url: `https://example.com/visit/${elicitationId}`, elicitationId }, related);
    if (action === 'accept') await server.createElicitationCompletionNotifier(elicitationId, related)();
    return structured({ action });
  },
  sg_url_required({ args: { key = '' } }) {
    if (visited.has(key)) return text('the page was visited');
    visited.add(key);
    const elicitationId = randomUUID();
    throw new types.UrlElicitationRequiredError([{ mode: 'url', message: 'Connect your account', url: `https://example.com/connect/${elicitationId}`, elicitationId }]);
  },
  async sg_sample({ session: { server }, extra }) {
    const messages = [{ role: 'user', content: { type: 'text', text: 'Say something.' } }];
    const { content } = await server.createMessage({ messages, maxTokens: 100 }, { relatedRequestId: extra.requestId });
    return text(`LLM response: ${content.text}`);
  },
  sg_roots: async ({ session: { server }, extra }) => structured(await server.listRoots({}, { relatedRequestId: extra.requestId })),
  async sg_wait({ args, extra }) {
    try {
      await pause(args.ms ?? 1000, undefined, { signal: extra.signal });
    } catch {
      shared.cancelled += 1;
    }
    return text('waited');
  },
  sg_cancelled: () => structured({ count: shared.cancelled }),
  async sg_toggle_tool() {
    shared.toggled = !shared.toggled;
    for (const { server } of sessions.values()) await server.sendToolListChanged();
    return structured({ on: shared.toggled });
  },
  sg_touch: async ({ args }) => structured({ told: await touch(args.uri) }),
  async sg_task({ extra }) {
    const task = await extra.taskStore.createTask({ ttl: 60_000, pollInterval: 100 });
    pause(200).then(() => extra.taskStore.storeTaskResult(task.taskId, 'completed', text('the job is done')));
    return { task };
  },
};

// === one server for each session ===

function fixtures(session) {
  const capabilities = { tools: { listChanged: true }, prompts: {}, resources: { subscribe: true }, logging: {}, completions: {} };
  const more = HAS_TASKS ? { taskStore: new tasks.InMemoryTaskStore(), taskMessageQueue: new tasks.InMemoryTaskMessageQueue() } : {};
  if (HAS_TASKS) capabilities.tasks = { list: {}, cancel: {}, requests: { tools: { call: {} } } };
  const server = new Server({ name: 'sdk-all-ts-v1', version: '1.0.0' }, { capabilities, instructions: 'All fixtures on the TypeScript SDK, 1.x.', ...more });
  server.setRequestHandler(types.ListToolsRequestSchema, ({ params }) => pageOf(listed(), params?.cursor) ?? refuse(INVALID_PARAMS, 'unknown cursor'));
  server.setRequestHandler(types.ListPromptsRequestSchema, () => ({ prompts: FIXTURES.prompts }));
  server.setRequestHandler(types.ListResourcesRequestSchema, () => ({ resources: FIXTURES.resources }));
  server.setRequestHandler(types.ListResourceTemplatesRequestSchema, () => ({ resourceTemplates: FIXTURES.templates }));
  server.setRequestHandler(types.ReadResourceRequestSchema, ({ params: { uri } }) => contents(uri) ?? refuse(RESOURCE_NOT_FOUND, 'Resource not found', { uri }));
  server.setRequestHandler(types.GetPromptRequestSchema, ({ params }) => promptOf(params.name, params.arguments) ?? refuse(INVALID_PARAMS, `Unknown prompt: ${params.name}`));
  server.setRequestHandler(types.CompleteRequestSchema, () => ({ completion: { values: ['alpha', 'beta'] } }));
  server.setRequestHandler(types.SetLevelRequestSchema, ({ params }) => {
    session.level = params.level;
    return {};
  });
  server.setRequestHandler(types.SubscribeRequestSchema, ({ params }) => {
    session.uris.add(params.uri);
    return {};
  });
  server.setRequestHandler(types.UnsubscribeRequestSchema, ({ params }) => {
    session.uris.delete(params.uri);
    return {};
  });
  server.setRequestHandler(types.CallToolRequestSchema, async ({ params }, extra) => {
    if (!listed().some((tool) => tool.name === params.name)) refuse(INVALID_PARAMS, `Unknown tool: ${params.name}`);
    const ask = (message, form) => server.elicitInput({ message, requestedSchema: FIXTURES.forms[form] }, { relatedRequestId: extra.requestId });
    const run = calls[params.name] ?? (() => text('This is a simple text response for testing.'));
    try {
      return await run({ args: params.arguments ?? {}, session, extra, ask });
    } catch (error) {
      // A refusal by the client is the tool's failure; one of the protocol is this server's own.
      if (error.code === URL_ELICITATION_REQUIRED) throw error;
      return { ...text(error.message), isError: true };
    }
  });
  return server;
}

async function opened() {
  const session = { count: 0, level: 'debug', uris: new Set() };
  session.server = fixtures(session);
  session.transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    eventStore: new Events(),
    ...(HAS_URLS ? { retryInterval: 200 } : {}),
    onsessioninitialized: (id) => sessions.set(id, session),
    onsessionclosed: (id) => sessions.delete(id),
  });
  await session.server.connect(session.transport);
  return session;
}

serve(async (request, response) => {
  const id = request.headers['mcp-session-id'];
  try {
    if (id && !sessions.has(id)) return void response.writeHead(404).end();
    await (sessions.get(id) ?? (await opened())).transport.handleRequest(request, response);
  } catch (error) {
    console.error(error);
    response.headersSent ? response.end() : response.writeHead(500).end();
  }
}, Number(port), touch);
