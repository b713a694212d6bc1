// The official TypeScript SDK signs in at a gateway: `ts_client.mjs v1|v2 ERA WORLD_FILE`. The Python twin is python_client.py.
//
// Each check opens a session of its own, with the tokens that the client has by then. The SDK renews a token that is refused.

import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { Host, Skip, fill, flat, need, pause, within } from '../clients/ts_host.mjs';
import { DOCUMENT, Keeper, Person } from './ts_person.mjs';

const [line, era, file] = process.argv.slice(2);
const world = JSON.parse(readFileSync(file, 'utf8'));
const legacy = era === 'legacy';
const WELL_KNOWN = '/.well-known/oauth-protected-resource';
// Their eras.
const TARGETS = ['new', 'old'];
const LIMIT_MS = 60_000;
const POLL_MS = 50;
// Longer than a token is good.
const LONG = { steps: 90, delay_ms: 50 };
const EVENTS = 'text/event-stream';
const JSON_TYPE = 'application/json';
const CAPABILITIES = { elicitation: { form: {}, url: {} } };

// === the lines of the SDK ===

const lines = {
  async v1() {
    const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
    const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js');
    const { UnauthorizedError } = await import('@modelcontextprotocol/sdk/client/auth.js');
    const { ElicitRequestSchema } = await import('@modelcontextprotocol/sdk/types.js');
    return {
      Transport: StreamableHTTPClientTransport,
      UnauthorizedError,
      client(host) {
        const client = new Client({ name: 'sessiongate-ts-v1', version: '1.0.0' }, { capabilities: CAPABILITIES });
        client.setRequestHandler(ElicitRequestSchema, ({ params }) => host.elicit(params));
        return client;
      },
      call: (client, params, options) => client.callTool(params, undefined, options),
      finish: (transport, landed) => transport.finishAuth(landed.get('code')),
    };
  },
  async v2() {
    const { Client, StreamableHTTPClientTransport, UnauthorizedError } = await import('@modelcontextprotocol/client');
    return {
      Transport: StreamableHTTPClientTransport,
      UnauthorizedError,
      client(host) {
        const options = { capabilities: CAPABILITIES, versionNegotiation: { mode: legacy ? 'legacy' : 'auto' } };
        const client = new Client({ name: 'sessiongate-ts-v2', version: '1.0.0' }, options);
        client.setRequestHandler('elicitation/create', ({ params }) => host.elicit(params));
        return client;
      },
      call: (client, params, options) => client.callTool(params, options),
      finish: (transport, landed) => transport.finishAuth(landed),
    };
  },
};
const sdk = await lines[line]();

// Remembers what the client sent, and what answered.
class Wire {
  seen = [];

  fetch = async (url, init) => {
    const response = await fetch(url, init);
    const headers = new Headers(init?.headers);
    const text = typeof init?.body === 'string' ? init.body : undefined;
    const kind = (response.headers.get('content-type') ?? '').split(';')[0];
    const body = text && text.startsWith('{') ? JSON.parse(text) : {};
    this.seen.push({
      method: init?.method ?? 'GET',
      url: String(url),
      headers,
      body,
      rpc: body.method,
      form: init?.body instanceof URLSearchParams ? Object.fromEntries(init.body) : {},
      session: headers.get('mcp-session-id'),
      resumed: headers.get('last-event-id'),
      status: response.status,
      challenge: response.headers.get('www-authenticate') ?? '',
      kind,
      answer: kind === JSON_TYPE ? await response.clone().json() : undefined,
    });
    return response;
  };

  grants = (kind) => this.seen.filter(({ form }) => form.grant_type === kind);
}

// One person with one client at one gateway.
class Visitor {
  constructor(gateway, name) {
    this.url = gateway.url;
    this.person = new Person(name);
    this.keeper = new Keeper(this.person, gateway.registers);
  }

  get token() {
    return this.keeper.kept.tokens.access_token;
  }

  async session(body) {
    const [wire, host] = [new Wire(), new Host()];
    host.answer = (params) => ({ action: 'accept', content: fill(params) });
    const connect = async () => {
      const client = sdk.client(host);
      const transport = new sdk.Transport(new URL(this.url), { authProvider: this.keeper, fetch: wire.fetch });
      try {
        await client.connect(transport);
      } catch (error) {
        await this.signIn(transport, error);
        return undefined;
      }
      return { client, transport };
    };
    // The connection that was refused cannot be used any more.
    const { client, transport } = (await connect()) ?? (await connect());
    const call = async (name, args, onprogress) => {
      const request = () => sdk.call(client, { name, arguments: args }, { timeout: LIMIT_MS, ...(onprogress && { onprogress }) });
      try {
        return await request();
      } catch (error) {
        await this.signIn(transport, error);
        return request();
      }
    };
    const close = async () => {
      if (legacy) await transport.terminateSession().catch(() => {});
      await client.close();
    };
    try {
      return await body({ call, wire, host, transport });
    } finally {
      await within(LIMIT_MS, close());
    }
  }

  // The SDK sends the person away; what they come back with goes on.
  async signIn(transport, error) {
    if (!(error instanceof sdk.UnauthorizedError)) throw error;
    await sdk.finish(transport, this.person.landed);
  }
}

// === what is checked ===

class Checks {
  constructor(gateway) {
    this.gateway = gateway;
    this.url = gateway.url;
    this.ada = new Visitor(gateway, 'ada');
    this.eve = new Visitor(gateway, 'eve');
  }

  async the_challenge_leads_to_a_token() {
    const seen = await this.ada.session(async (session) => {
      await echo(session);
      return session.wire.seen;
    });
    const { origin, pathname } = new URL(this.url);
    const document = `${origin}${WELL_KNOWN}${pathname}`;
    const first = seen[0];
    need(first.url === this.url && first.status === 401 && !first.headers.has('authorization'), `${first.url} ${first.status}`);
    need(first.challenge.includes(`resource_metadata="${document}"`) && first.challenge.includes('scope="invoke"'), first.challenge);
    const wanted = [
      `GET ${document} 200`,
      `GET ${world.issuer}/.well-known/oauth-authorization-server 200`,
      ...(this.gateway.registers ? [`POST ${world.issuer}/reg 201`] : []),
      `POST ${world.issuer}/token 200`,
      `POST ${this.url} 200`,
    ];
    const steps = seen.slice(1, 1 + wanted.length).map(({ method, url, status }) => `${method} ${url} ${status}`);
    need(flat(steps) === flat(wanted), steps);
    const [asked] = this.ada.person.asked;
    need(asked.resource === this.url && asked.code_challenge_method === 'S256' && asked.scope.split(' ').includes('invoke'), asked);
    need(this.gateway.registers || asked.client_id === DOCUMENT, asked);
    need(flat(this.ada.person.pages) === '["login","consent"]', this.ada.person.pages);
    const claims = claimsOf(this.ada.token);
    need(claims.aud === this.url && claims.iss === world.issuer && claims.sub === 'ada' && claims.scope === 'invoke', claims);
  }

  async calls_stream_and_ask() {
    const seen = [];
    await this.ada.session(async ({ call, wire, host }) => {
      for (const target of TARGETS) {
        const result = await call(`${target}___sg_progress`, { steps: 3, delay_ms: 10 }, ({ progress }) => seen.push(progress));
        need(result.structuredContent?.steps === 3, result);
      }
      const kinds = wire.seen.filter(({ rpc, status }) => rpc === 'tools/call' && status === 200).map(({ kind }) => kind);
      need(flat([seen, kinds]) === flat([[1, 2, 3, 1, 2, 3], [EVENTS, EVENTS]]), [seen, kinds]);
      for (const target of TARGETS) {
        const result = await call(`${target}___sg_elicit_form`, {});
        need(result.structuredContent?.action === 'accept', result);
      }
      need(host.asked.length === 2, host.asked);
    });
    need(this.ada.person.asked.length === 1, 'the person was asked again');
  }

  async the_session_goes_on_with_new_tokens() {
    await this.ada.session(async (session) => {
      await echo(session);
      const first = this.ada.token;
      const grants = () => session.wire.grants('refresh_token');
      await until(async () => (await echo(session), grants().length >= 2), true);
      need(grants().every(({ status, form }) => status === 200 && form.resource === this.url), 'a renewal was refused');
      this.#oneSession(session);
      const refused = session.wire.seen.filter(({ status }) => status === 401);
      need(refused.length && refused.every(({ challenge }) => challenge.includes('error="invalid_token"')), refused.length);
      need(flat(await knock(this.url, first)) === '[401,"token_expired"]', 'the first token is still good');
    });
    need(this.ada.person.asked.length === 1, 'the person was asked again');
  }

  async a_call_outlives_its_token() {
    const seen = [];
    await this.ada.session(async (session) => {
      await echo(session);
      const first = this.ada.token;
      const call = session.call('old___sg_progress', LONG, ({ progress }) => seen.push(progress));
      const result = await Promise.race([call, ...(line === 'v1' ? [lost(session.wire)] : [])]);
      need(result.structuredContent?.steps === LONG.steps && seen.at(-1) === LONG.steps, [result, seen.slice(-3)]);
      need(seen.every((value, at) => at === 0 || value > seen[at - 1]), seen);
      await echo(session);
      need(this.ada.token !== first, 'no token was renewed');
      this.#oneSession(session);
      // Streams of a session end with the token that opened them, and are resumed with the next one.
      const resumed = session.wire.seen.filter((one) => one.resumed && !one.resumed.startsWith('0'));
      need(legacy === resumed.some(({ status }) => status === 200), resumed.length);
    });
  }

  async another_person_cannot_go_on_with_it() {
    await this.eve.session(echo);
    need(claimsOf(this.eve.token).sub === 'eve', 'another subject');
    if (legacy) await this.#stealsASession();
    else await this.#stealsAQuestion();
  }

  async a_token_of_another_gateway_is_refused() {
    const other = world.gateways.find((one) => one !== this.gateway);
    const visitor = new Visitor(other, 'ada');
    await visitor.session(async () => {});
    need(claimsOf(visitor.token).aud === other.url, claimsOf(visitor.token));
    const found = await knock(this.url, visitor.token);
    need(flat(found) === '[401,"token_audience"]', found);
  }

  // The gateway wants more from now on.
  async more_scopes_are_asked_for_in_the_session() {
    const { person, keeper } = this.ada;
    person.pages.length = 0;
    let renewed = false;
    await this.ada.session(async (session) => {
      await echo(session);
      const [command, ...words] = this.gateway.tighten;
      await promisify(execFile)(command, words);
      await until(async () => {
        try {
          await echo(session);
        } catch (error) {
          // The 1.x line renews where it has to ask the person, and gives up when that brings no more: its host has to forget
          // the tokens.
          need(line === 'v1' && !renewed && /after trying upscoping/.test(error.message), error.stack);
          renewed = true;
          keeper.invalidateCredentials('tokens');
          await echo(session);
        }
        return claimsOf(this.ada.token).scope.split(' ').includes('admin');
      }, true);
      this.#oneSession(session);
      const refused = session.wire.seen.filter(({ status }) => status === 403);
      need(refused.length && refused.every(({ challenge }) => /error="insufficient_scope".* scope="admin"/.test(challenge)), refused.length);
    });
    // Who they are is known; what the client may have is asked.
    need(flat(person.pages) === '["consent"]', person.pages);
    need(renewed === (line === 'v1'), 'the SDK behaves in another way than this check knows');
    return `granted: ${claimsOf(this.ada.token).scope}${renewed ? ', after its host forgot the tokens' : ''}`;
  }

  async #stealsASession() {
    await this.ada.session(async (session) => {
      await echo(session);
      for (const method of ['POST', 'GET', 'DELETE']) {
        await this.eve.session(echo);
        const headers = { 'mcp-protocol-version': '2025-11-25', 'mcp-session-id': session.transport.sessionId };
        const found = await knock(this.url, this.eve.token, method, headers);
        need(flat(found) === '[404,"session_not_found"]', [method, found]);
      }
      await echo(session);
      this.#oneSession(session);
    });
  }

  // There are no sessions: what waits in the gateway is a call of a target with sessions, whose question is open.
  async #stealsAQuestion() {
    const refusals = [];
    await this.ada.session(async ({ call, wire, host }) => {
      host.answer = async (params) => {
        const { answer, body, headers } = wire.seen.findLast(({ rpc }) => rpc === 'tools/call');
        const { requestState, inputRequests } = answer.result;
        const inputResponses = Object.fromEntries(Object.keys(inputRequests).map((name) => [name, { action: 'decline' }]));
        await this.eve.session(echo);
        const own = Object.fromEntries([...headers].filter(([name]) => name.startsWith('mcp-')));
        refusals.push(await knock(this.url, this.eve.token, 'POST', own, { ...body, params: { ...body.params, requestState, inputResponses } }));
        return { action: 'accept', content: fill(params) };
      };
      const result = await call('old___sg_elicit_form', {});
      need(result.structuredContent?.action === 'accept', result);
    });
    need(flat(refusals) === '[[200,"invalid_request_state"]]', refusals);
  }

  // Nothing was lost on the way: all requests were of one session, and none was unknown.
  #oneSession({ wire }) {
    const own = wire.seen.filter(({ url }) => url === this.url);
    const sessions = new Set(own.map(({ session }) => session).filter(Boolean));
    need(sessions.size === (legacy ? 1 : 0), [...sessions]);
    need(own.every(({ status }) => [200, 202, 401, 403].includes(status)), own.map(({ status }) => status));
  }
}

// === helpers ===

async function echo({ call }) {
  const result = await call('new___sg_echo', { text: 'ferry' });
  need(result.structuredContent?.text === 'ferry', result);
}

// The 1.x line, when the stream of a call is to be resumed with a token that has ended: it renews the token and asks for another
// stream than that of the call.
async function lost({ seen }) {
  await until(() => {
    const refused = seen.findIndex(({ resumed, status }) => resumed && !resumed.startsWith('0') && status === 401);
    return refused >= 0 && seen.slice(refused).some(({ method, resumed, status }) => method === 'GET' && !resumed && status === 200);
  }, true);
  throw new Skip('the SDK renews the token, and then forgets which stream it wanted to resume: the answer is lost');
}

async function until(look, wanted) {
  const end = Date.now() + LIMIT_MS / 2;
  for (;;) {
    const found = await look();
    if (flat(found) === flat(wanted)) return;
    need(Date.now() < end, `wanted ${flat(wanted)}: ${flat(found)}`);
    await pause(POLL_MS);
  }
}

const claimsOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));

// Status and reason of one bare request.
async function knock(url, token, method = 'POST', more = {}, message = { jsonrpc: '2.0', id: 1, method: 'ping' }) {
  const headers = { accept: method === 'POST' ? `${JSON_TYPE}, ${EVENTS}` : EVENTS, 'content-type': JSON_TYPE, authorization: `Bearer ${token}`, ...more };
  const answer = await fetch(url, { method, headers, body: method === 'POST' ? JSON.stringify(message) : undefined });
  return [answer.status, (await answer.json()).error?.data?.reason];
}

async function run(gateway) {
  const checks = new Checks(gateway);
  let failed = 0;
  for (const name of Object.getOwnPropertyNames(Checks.prototype).filter((one) => one !== 'constructor')) {
    const started = Date.now();
    let [ok, detail] = [true, null];
    try {
      detail = (await within(LIMIT_MS, checks[name]())) ?? null;
    } catch (error) {
      const skipped = error instanceof Skip;
      if (!skipped) console.error(error);
      [ok, detail, failed] = [skipped ? 'skip' : false, error.message, failed + !skipped];
    }
    console.log(JSON.stringify({ check: `${gateway.name}-${name.replaceAll('_', '-')}`, ok, detail, seconds: (Date.now() - started) / 1000 }));
  }
  return failed;
}

const failures = await Promise.all(world.gateways.map(run));
process.exit(failures.some(Boolean) ? 1 : 0);
