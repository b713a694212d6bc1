// All fixtures of the matrix on the official TypeScript SDK, 2.x line, low level, for 2026-07-28: `all_ts_v2.mjs [PORT]`.
//
// Questions are `input_required` results; what was answered in earlier rounds travels in `requestState`, here in clear. The
// address is printed as one line on stdout when it is ready to accept.

import { setTimeout as pause } from 'node:timers/promises';
import { FIXTURES, INVALID_PARAMS, contents, packagesOf, pageOf, promptOf, serve, structured, text, toolsOf } from './serving.mjs';

// The Inspector brings the server's half of this SDK along.
const load = packagesOf('inspector');
const { MissingRequiredClientCapabilityError, ProtocolError, Server, createMcpHandler, inputRequired } = load('@modelcontextprotocol/server');
const { getRequestListener } = load('@hono/node-server');

const [port = '0'] = process.argv.slice(2);
// A session's counter, a stream that comes back and tasks have no place here.
const LACKS = ['sg_counter', 'test_reconnection', 'sg_task'];
const shared = { toggled: false, cancelled: 0 };

const refuse = (code, message, data) => {
  throw new ProtocolError(code, message, data);
};
const listed = () => toolsOf(shared.toggled).filter((tool) => !LACKS.includes(tool.name));

// === questions ===

// Thrown where the client has to answer first; the result goes out in its stead.
class Asked extends Error {
  constructor(questions, answers) {
    super('input required');
    this.result = inputRequired({ inputRequests: questions, requestState: JSON.stringify(answers) });
  }
}

// The answers to all of these, or `Asked` for those that did not come.
function take({ mcpReq }, questions) {
  const answers = { ...JSON.parse(mcpReq.requestState() ?? '{}'), ...mcpReq.inputResponses };
  const missing = Object.entries(questions).filter(([key]) => !(key in answers));
  if (missing.length) throw new Asked(Object.fromEntries(missing), answers);
  return Object.keys(questions).map((key) => answers[key]);
}

const one = (context, question) => take(context, { answer: question })[0];
const form = (message, name) => inputRequired.elicit({ message, requestedSchema: FIXTURES.forms[name] });

async function answering(run) {
  try {
    return await run();
  } catch (error) {
    if (error instanceof Asked) return error.result;
    throw error;
  }
}

// === calls ===

function visit({ context }) {
  // What a client did not declare must not be asked: at this level the SDK leaves that to its user.
  const declared = context.mcpReq.envelope?.['io.modelcontextprotocol/clientCapabilities'];
  if (!declared?.elicitation?.url) throw new MissingRequiredClientCapabilityError({ requiredCapabilities: { elicitation: { url: {} } } });
  const { action } = one(context, inputRequired.elicitUrl({ message: 'Please visit this page', url: 'https://example.com/visit' }));
  return structured({ action });
}

const calls = {
  test_error_handling: () => ({ ...text('This tool intentionally returns an error for testing'), isError: true }),
  test_elicitation_sep1034_defaults: ({ context }) => structured(one(context, form('Please review these values', 'test_elicitation_sep1034_defaults'))),
  sg_whoami: ({ context }) => structured({ envelope: context.mcpReq.envelope, headers: Object.fromEntries(context.http?.req?.headers ?? []) }),
  sg_big: ({ args }) => text('x'.repeat(args.bytes ?? 1024)),
  async sg_progress({ args: { steps = 3, delay_ms: delay = 10 }, context: { mcpReq } }) {
    const progressToken = mcpReq._meta?.progressToken;
    for (let step = 1; step <= steps; step += 1) {
      await pause(delay);
      if (progressToken !== undefined) {
        await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress: step, total: steps, message: `step ${step}` } });
      }
    }
    return structured({ steps });
  },
  async sg_log({ args: { count = 3, level = 'info' }, context }) {
    for (let line = 0; line < count; line += 1) await context.mcpReq.log(level, { line }, 'sdk-all');
    return text('logged');
  },
  sg_elicit_form: ({ context }) => structured(one(context, form('Who are you?', 'sg_elicit_form'))),
  sg_elicit_two({ context }) {
    const [first, second] = take(context, Object.fromEntries(['first', 'second'].map((which) => [which, form(`The ${which} of two questions`, which)])));
    return structured({ first, second });
  },
  sg_rounds({ args: { rounds = 3 }, context }) {
    for (let round = 1; round <= rounds; round += 1) take(context, { [`round-${round}`]: form(`Round ${round}`, 'round') });
    return text('no more rounds');
  },
  sg_elicit_url: visit,
  sg_url_required: visit,
  sg_sample({ context }) {
    const messages = [{ role: 'user', content: { type: 'text', text: 'Say something.' } }];
    return text(`LLM response: ${JSON.stringify(one(context, inputRequired.createMessage({ messages, maxTokens: 100 })).content)}`);
  },
  sg_roots: ({ context }) => structured(one(context, inputRequired.listRoots())),
  async sg_wait({ args: { ms = 1000 }, context }) {
    try {
      await pause(ms, undefined, { signal: context.mcpReq.signal });
    } catch {
      shared.cancelled += 1;
    }
    return text('waited');
  },
  sg_cancelled: () => structured({ count: shared.cancelled }),
  sg_toggle_tool() {
    shared.toggled = !shared.toggled;
    handler.notify.toolsChanged();
    return structured({ on: shared.toggled });
  },
  sg_touch: ({ args }) => structured({ told: touch(args.uri) }),
};

// === one server for each request ===

function fixtures() {
  const capabilities = { tools: { listChanged: true }, prompts: {}, resources: { subscribe: true }, logging: {}, completions: {} };
  const server = new Server({ name: 'sdk-all-ts-v2', version: '1.0.0' }, { capabilities, instructions: 'All fixtures on the TypeScript SDK, 2.x.' });
  server.setRequestHandler('tools/list', ({ params }) => pageOf(listed(), params?.cursor) ?? refuse(INVALID_PARAMS, 'unknown cursor'));
  server.setRequestHandler('prompts/list', () => ({ prompts: [...FIXTURES.prompts, FIXTURES.askingPrompt] }));
  server.setRequestHandler('resources/list', () => ({ resources: FIXTURES.resources }));
  server.setRequestHandler('resources/templates/list', () => ({ resourceTemplates: FIXTURES.templates }));
  server.setRequestHandler('resources/read', ({ params: { uri } }) => contents(uri) ?? refuse(INVALID_PARAMS, 'Resource not found', { uri }));
  server.setRequestHandler('completion/complete', () => ({ completion: { values: ['alpha', 'beta'] } }));
  server.setRequestHandler('prompts/get', ({ params }, context) => {
    if (params.name !== FIXTURES.askingPrompt.name) return promptOf(params.name, params.arguments) ?? refuse(INVALID_PARAMS, `Unknown prompt: ${params.name}`);
    return answering(() => {
      const said = one(context, form('What shall it be about?', 'round'));
      return { messages: [{ role: 'user', content: { type: 'text', text: JSON.stringify(said) } }] };
    });
  });
  server.setRequestHandler('tools/call', ({ params }, context) => {
    if (!listed().some((tool) => tool.name === params.name)) refuse(INVALID_PARAMS, `Unknown tool: ${params.name}`);
    const run = calls[params.name] ?? (() => text('This is a simple text response for testing.'));
    return answering(() => run({ args: params.arguments ?? {}, context }));
  });
  return server;
}

const handler = createMcpHandler(fixtures, { legacy: 'reject', onerror: console.error });
const touch = (uri) => {
  handler.notify.resourceUpdated(uri);
  return true;
};
serve(getRequestListener((request) => handler.fetch(request)), Number(port), touch);
