// What both TypeScript clients check against the reference server's fixtures. A client script gives an adapter
// (see ts_v1.mjs) that opens sessions with its SDK's own classes. The Python twin is python_checks.py: the same checks, the same names.

import { randomUUID } from 'node:crypto';
import { Cutter, Host, Skip, fill, flat, need, pause, textOf, until, within } from './ts_host.mjs';

const URL_ELICITATION_REQUIRED = -32042;
const INVALID_PARAMS = -32602;
const RESOURCE_NOT_FOUND = -32002;
const CHECK_LIMIT_MS = 30_000;
const CONCURRENT_CALLS = 16;
const MANY_TOOLS = 250;
const LOG_LINES = 5;
const RESUME_STEPS = 8;
const CUT_AFTER_EVENTS = 3;

// === the checks ===

class Checks {
  failed = 0;
  tools = new Set();

  constructor(adapter, options) {
    this.adapter = adapter;
    this.options = options;
    this.first = options.era === 'modern' ? 'discover' : 'initialize';
    this.modern = options.era === 'modern';
    // Whether a question can reach the client as an error, which only two legacy sides do.
    this.legacyOnly = options.era !== 'modern' && options.serverEra !== 'modern';
  }

  say(check, ok, detail = null) {
    if (ok === false) this.failed += 1;
    console.log(JSON.stringify({ check, ok, detail }));
  }

  async run(name, body) {
    if (this.options.only.length && !this.options.only.includes(name) && name !== 'tools-list') return;
    const { lacks, refusals } = this.options;
    if (name in lacks) return this.say(name, 'lacks', lacks[name]);
    try {
      this.say(name, true, (await within(CHECK_LIMIT_MS, name in refusals ? this.isRefused(refusals[name]) : body())) ?? null);
    } catch (error) {
      if (error instanceof Skip) return this.say(name, 'skip', error.message);
      const where = /ts_\w+\.mjs:\d+/.exec(error.stack?.split('\n').slice(1).join('\n') ?? '')?.[0] ?? '';
      this.say(name, false, `${error.constructor.name}: ${error.message} (${where})`.slice(0, 900));
    }
  }

  named = (name) => this.options.prefix + name;

  async call(client, tool, args = {}, options = {}) {
    if (this.tools.size && !this.tools.has(this.named(tool))) throw new Skip(`the server offers no ${tool}`);
    return this.adapter.call(client, { name: this.named(tool), arguments: args }, { timeout: CHECK_LIMIT_MS, ...options });
  }

  async good(client, tool, args, options) {
    const result = await this.call(client, tool, args, options);
    need(!result.isError, result);
    return result;
  }

  async pages(client, method, key) {
    const items = [];
    let cursor;
    let pages = 0;
    do {
      const page = await this.adapter.page(client, method, cursor);
      items.push(...page[key]);
      pages += 1;
      need(pages < 200, 'the list has no end');
      cursor = page.nextCursor;
    } while (cursor);
    return [items, pages];
  }

  async toolsList(client) {
    const [items, pages] = await this.pages(client, 'tools/list', 'tools');
    const names = items.map((t) => t.name);
    this.tools = new Set(names);
    need(this.tools.size === names.length, 'a tool is listed twice');
    need(items.every((t) => t.inputSchema.type === 'object'), 'a tool has no object schema');
    return `${names.length} tools on ${pages} pages`;
  }

  toolsMany() {
    const missing = Array.from({ length: MANY_TOOLS }, (_, i) => this.named(`page_${String(i).padStart(3, '0')}`)).filter((n) => !this.tools.has(n));
    if (missing.length === MANY_TOOLS && !this.options.many) throw new Skip('the server was not started with --many');
    need(missing.length === 0, `${missing.length} page_ tools missing, first ${missing.slice(0, 3)}`);
  }

  async unknownTool(client) {
    let result;
    try {
      result = await this.adapter.call(client, { name: this.named('no_such_tool'), arguments: {} }, {});
    } catch (error) {
      need([-32602, -32601].includes(error.code) && error.message, `${error.code} ${error.message}`);
      return `${error.code}: ${error.message}`;
    }
    need(result.isError, result);
  }

  async refused(codes, promise) {
    let result;
    try {
      result = await promise;
    } catch (error) {
      need(codes.includes(error.code) && error.message, `wanted ${codes}, got ${error.code} ${error.message}`);
      return `${error.code}: ${error.message}`;
    }
    throw new Error(`wanted ${codes}, got ${flat(result).slice(0, 300)}`);
  }

  // What cannot be done here is refused in these very words: as an error with a code, or as the tool's own.
  async isRefused({ tool, error: words, arguments: args = {} }) {
    const got = await this.adapter.call(this.client, { name: this.named(tool), arguments: args }, {}).then(
      (result) => (result.isError ? `tool error: ${textOf(result)}` : flat(result).slice(0, 300)),
      // This SDK puts the code before the words of errors that it makes of answers.
      (error) => `${error.code}: ${error.message.replace(/^MCP error -?\d+: /, '')}`,
    );
    const wanted = words.replace('{tool}', this.named(tool));
    need(got === wanted, `wanted ${wanted}, got ${got}`);
    return got;
  }

  async progressOf(client, steps, delay, more = {}) {
    const seen = [];
    await this.good(client, 'sg_progress', { steps, delay_ms: delay }, { onprogress: (p) => seen.push(p.progress), ...more });
    await until(() => seen.length >= steps, `${steps} progress events, got ${seen}`, 5_000);
    need(seen.every((v, i) => i === 0 || v > seen[i - 1]), `progress is not rising: ${seen}`);
    need(seen.length <= steps + 1, `another call's progress: ${seen}`);
    return seen;
  }

  async logging(client, host) {
    await this.adapter.setLevel(client, 'debug');
    host.logs.length = 0;
    const args = { count: LOG_LINES, level: 'info' };
    await this.good(client, 'sg_log', args);
    await until(() => host.logs.length >= LOG_LINES, `${LOG_LINES} log messages`);
    const lines = host.logs.filter((m) => m.level === 'info').map((m) => m.data.line);
    need(flat(lines) === flat([...Array(LOG_LINES).keys()]), `messages lost, doubled or out of order: ${lines}`);
    await this.adapter.setLevel(client, 'emergency');
    host.logs.length = 0;
    await this.good(client, 'sg_log', args);
    // Something answered later shows that a line on its way would have come.
    await this.good(client, 'test_simple_text');
    need(host.logs.length === 0, `the level was not honoured: ${flat(host.logs)}`);
    await this.adapter.setLevel(client, 'debug');
  }

  async elicit(client, host, action) {
    host.asked.length = 0;
    host.answer = (params) => (action === 'accept' ? { action, content: fill(params) } : { action });
    const result = await this.call(client, 'sg_elicit_form');
    need(host.asked.length === 1, `asked ${host.asked.length} times`);
    need(host.asked[0].requestedSchema?.type === 'object' && host.asked[0].message, host.asked);
    const answer = result.structuredContent ?? JSON.parse(textOf(result));
    need(answer.action === action, result);
    const sent = fill(host.asked[0]);
    const intact = action !== 'accept' || Object.entries(sent).every(([name, value]) => flat(answer.content?.[name]) === flat(value));
    need(intact, `the answer changed on its way: ${flat(answer)}`);
  }

  async elicitTwo(client, host) {
    host.asked.length = 0;
    host.answer = (params) => ({ action: 'accept', content: fill(params) });
    const result = await this.good(client, 'sg_elicit_two');
    need(host.asked.length === 2, `asked ${host.asked.length} times`);
    need(flat(result).includes('accept'), result);
  }

  async elicitUrl(client, host) {
    host.asked.length = 0;
    host.answer = () => ({ action: 'accept' });
    const result = await this.good(client, 'sg_elicit_url');
    const asked = host.asked.filter((p) => p.mode === 'url');
    need(asked.length === 1 && asked[0].url?.startsWith('http'), host.asked);
    need(flat(result).includes('accept'), result);
    const { elicitationId } = asked[0];
    need(this.modern || elicitationId, 'no elicitationId');
    // A modern server says nothing of that kind, and a modern client has no place for it.
    if (this.legacyOnly) await until(() => host.saw('notifications/elicitation/complete', { elicitationId }), 'notifications/elicitation/complete');
  }

  async urlRequired(client, host) {
    // A name of its own, since clients may share the server's session.
    const once = { key: randomUUID() };
    if (!this.legacyOnly) {
      host.asked.length = 0;
      host.answer = () => ({ action: 'accept' });
      await this.good(client, 'sg_url_required', once);
      need(host.asked.length === 1 && host.asked[0].mode === 'url', host.asked);
      return;
    }
    let result;
    try {
      result = await this.call(client, 'sg_url_required', once);
    } catch (error) {
      if (error instanceof Skip) throw error;
      need(error.code === URL_ELICITATION_REQUIRED, `${error.code} ${error.message}`);
      need(error.data?.elicitations?.[0]?.url && error.data.elicitations[0].elicitationId, error.data ?? 'no data');
      await this.good(client, 'sg_url_required', once);
      return;
    }
    throw new Error(`answered at once: ${flat(result).slice(0, 300)}`);
  }

  // Three questions, one after the other, each made of the answers before it.
  async rounds(client, host) {
    host.asked.length = 0;
    host.answer = (params) => ({ action: 'accept', content: fill(params) });
    await this.good(client, 'sg_rounds', { rounds: 3 });
    // A gateway may put the target's name before it.
    const asked = host.asked.map((p) => /Round (\d)/.exec(p.message)?.[1]);
    need(flat(asked) === flat(['1', '2', '3']), host.asked);
  }

  async promptAsks(client, host) {
    const name = this.named('test_input_required_result_prompt');
    const [items] = await this.pages(client, 'prompts/list', 'prompts');
    if (!items.some((p) => p.name === name)) throw new Skip('the server offers no prompt that asks');
    host.asked.length = 0;
    host.answer = (params) => ({ action: 'accept', content: fill(params) });
    const result = await client.getPrompt({ name });
    need(host.asked.length && result.messages.length, result);
  }

  // A tool that runs as a task only; the caller waits.
  async task(client, host) {
    host.answer = (params) => ({ action: 'accept', content: fill(params) });
    const [tool, words] = this.tools.has(this.named('sg_task')) ? ['sg_task', 'the job is done'] : ['test_tool_with_task', 'Hello'];
    need(textOf(await this.good(client, tool)).includes(words), "the task's result is not in the answer");
  }

  async cancellation(client) {
    const before = textOf(await this.good(client, 'sg_cancelled'));
    const abort = new AbortController();
    const call = this.call(client, 'sg_wait', { ms: 60_000 }, { signal: abort.signal, onprogress: () => {} });
    call.catch(() => {});
    // The call must have reached the server; another answered call after it shows that it had the time.
    await this.good(client, 'test_simple_text');
    await pause(200);
    abort.abort('the test changed its mind');
    await until(async () => textOf(await this.good(client, 'sg_cancelled')) !== before, 'the cancellation');
  }

  async subscription(client, host) {
    const uri = 'test://watched-resource';
    const leave = await this.adapter.watch(client, uri);
    if (this.options.touch) await (await fetch(this.options.touch, { method: 'POST', body: uri, signal: AbortSignal.timeout(10_000) })).text();
    else await this.good(client, 'sg_touch', { uri });
    await until(() => host.saw('notifications/resources/updated', { uri }), 'resources/updated');
    await leave();
  }

  async listChanged(client, host) {
    host.notices.length = 0;
    const leave = await this.adapter.watchTools(client);
    await this.good(client, 'sg_toggle_tool');
    await until(() => host.saw('notifications/tools/list_changed'), 'tools/list_changed');
    const [items] = await this.pages(client, 'tools/list', 'tools');
    const names = new Set(items.map((t) => t.name));
    const changed = [...names].filter((n) => !this.tools.has(n)).concat([...this.tools].filter((n) => !names.has(n)));
    need(changed.length > 0, 'the list did not change');
    await this.good(client, 'sg_toggle_tool');
    await leave();
    return changed;
  }

  async resume() {
    const cutter = new Cutter();
    const session = await this.adapter.connect(this.options.url, new Host(), cutter.fetch);
    try {
      cutter.arm(CUT_AFTER_EVENTS);
      let seen;
      try {
        seen = await this.progressOf(session.client, RESUME_STEPS, 150);
      } catch (error) {
        if (!cutter.eventIds && !(error instanceof Skip)) throw new Skip(`the server gives its events no ids (${error.message})`);
        throw error;
      }
      need(cutter.cuts === 1, `the connection was cut ${cutter.cuts} times`);
      need(cutter.resumed, 'the SDK sent no Last-Event-ID');
      need(new Set(seen).size === seen.length, `events doubled: ${seen}`);
      return `cut after ${CUT_AFTER_EVENTS} events, resumed, progress ${seen}`;
    } finally {
      await session.close();
    }
  }

  async termination() {
    const { client, transport, close } = await this.adapter.connect(this.options.url, new Host());
    await client.ping();
    const id = transport.sessionId;
    if (!id) throw new Skip('the server keeps no session');
    await transport.terminateSession();
    await close();
    const response = await fetch(this.options.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', 'mcp-session-id': id, 'mcp-protocol-version': '2025-11-25' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' }),
      signal: AbortSignal.timeout(10_000),
    });
    await response.body?.cancel();
    need(response.status === 404, `an ended session was answered with ${response.status}`);
  }

  async all() {
    const host = new Host();
    let session;
    try {
      session = await within(CHECK_LIMIT_MS, this.adapter.connect(this.options.url, host));
    } catch (error) {
      this.say(this.first, false, `${error.constructor.name}: ${error.message}`.slice(0, 900));
      return;
    }
    const { client, transport } = session;
    this.client = client;
    const server = client.getServerVersion();
    const revision = client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion;
    this.say(this.first, true, `${server?.name ?? 'a server without a name'} ${server?.version ?? ''}, ${revision}`);
    const { good, call } = { good: this.good.bind(this), call: this.call.bind(this) };
    await this.run('ping', () => client.ping().then(() => null));
    await this.run('tools-list', () => this.toolsList(client));
    await this.run('tools-many', async () => this.toolsMany());
    await this.run('prompts-list', async () => {
      const [items] = await this.pages(client, 'prompts/list', 'prompts');
      need(items.some((p) => p.name === this.named('test_simple_prompt')), items);
      return `${items.length} prompts`;
    });
    await this.run('resources-list', async () => {
      const [items] = await this.pages(client, 'resources/list', 'resources');
      need(items.some((r) => r.uri === 'test://static-text'), items);
      const [templates] = await this.pages(client, 'resources/templates/list', 'resourceTemplates');
      need(templates.some((t) => t.uriTemplate === 'test://template/{id}/data'), templates);
      return `${items.length} resources, ${templates.length} templates`;
    });
    await this.run('call-text', async () => need(textOf(await good(client, 'test_simple_text')), 'no text'));
    await this.run('tool-error', async () => {
      const result = await call(client, 'test_error_handling');
      need(result.isError === true && textOf(result), result);
    });
    await this.run('unknown-tool', () => this.unknownTool(client));
    await this.run('unknown-prompt', () => this.refused([INVALID_PARAMS], client.getPrompt({ name: this.named('no_such_prompt') })));
    const missing = this.modern ? [INVALID_PARAMS] : this.adapter.foldsNotFound ? [INVALID_PARAMS, RESOURCE_NOT_FOUND] : [RESOURCE_NOT_FOUND];
    await this.run('unknown-resource', () => this.refused(missing, client.readResource({ uri: 'test://no-such-resource' })));
    await this.run('whoami', async () => textOf(await good(client, 'sg_whoami')).slice(0, 300));
    await this.run('counter', async () => {
      const texts = [];
      for (let i = 0; i < 3; i += 1) texts.push(textOf(await good(client, 'sg_counter')));
      need(new Set(texts).size === 3, `the server's session was not the same one: ${texts}`);
      return texts;
    });
    await this.run('big-result', async () => {
      const size = 900_000;
      const text = textOf(await good(client, 'sg_big', { bytes: size }));
      need(text.length >= size, `${text.length} of ${size} characters`);
    });
    await this.run('progress', () => this.progressOf(client, 5, 20));
    await this.run('concurrent-progress', async () => {
      await Promise.all(Array.from({ length: CONCURRENT_CALLS }, (_, i) => this.progressOf(client, 3 + (i % 4), 10)));
    });
    await this.run('logging', () => this.logging(client, host));
    for (const action of ['accept', 'decline', 'cancel']) await this.run(`elicit-${action}`, () => this.elicit(client, host, action));
    await this.run('elicit-defaults', async () => {
      host.answer = (params) => ({ action: 'accept', content: fill(params) });
      const result = await good(client, 'test_elicitation_sep1034_defaults');
      need(flat(result).includes('accept'), result);
    });
    await this.run('elicit-two', () => this.elicitTwo(client, host));
    await this.run('elicit-url', () => this.elicitUrl(client, host));
    await this.run('url-required', () => this.urlRequired(client, host));
    await this.run('elicit-rounds', () => this.rounds(client, host));
    await this.run('elicit-in-prompt', () => this.promptAsks(client, host));
    await this.run('sampling', async () => need(flat(await good(client, 'sg_sample')).includes('forty-two'), 'the sampled text is not in the answer'));
    await this.run('roots', async () => {
      const result = flat(await good(client, 'sg_roots'));
      need(result.includes('file:///work/alpha') && result.includes('file:///work/beta'), result);
    });
    await this.run('task', () => this.task(client, host));
    await this.run('cancellation', () => this.cancellation(client));
    await this.run('subscription', () => this.subscription(client, host));
    await this.run('list-changed', () => this.listChanged(client, host));
    await this.run('completion', async () => {
      const params = { ref: { type: 'ref/prompt', name: this.named('test_prompt_with_arguments') }, argument: { name: 'arg1', value: '' } };
      const result = await client.complete(params);
      need(Array.isArray(result.completion.values), result);
      return result.completion.values.slice(0, 5);
    });
    await this.run('prompt-get', async () => {
      const result = flat(await client.getPrompt({ name: this.named('test_prompt_with_arguments'), arguments: { arg1: 'hello', arg2: 'world' } }));
      need(result.includes('hello') && result.includes('world'), result);
    });
    await this.run('resource-read', async () => {
      const plain = await client.readResource({ uri: 'test://static-text' });
      need(plain.contents[0].text, plain);
      const templated = await client.readResource({ uri: 'test://template/123/data' });
      need(flat(templated).includes('123'), templated);
    });
    await this.run('server-closes-mid-call', async () => void (await good(client, 'test_reconnection')));
    await session.close();
    await this.run('resume-after-cut', () => this.resume());
    await this.run('terminate', () => this.termination());
  }
}

// `URL [--era legacy|modern] [--server-era legacy|modern] [--touch URL] [--fixture-prefix P] [--many] [--only CHECK]…
// [--lacks JSON] [--refusals JSON]`: the server's era is that of the far end; with `--touch URL` that is where the server is told
// of a changed resource; the JSON says by check why it has no place here, or which tool is refused with which error.
export async function main(makeAdapter, { eras }) {
  const options = { url: undefined, prefix: '', many: false, only: [], era: 'legacy', serverEra: undefined, lacks: {}, refusals: {} };
  const words = process.argv.slice(2);
  const oneOf = (choices) => {
    const word = words.shift();
    if (!choices.includes(word)) throw new Error(`wanted one of ${choices}, got ${word}`);
    return word;
  };
  while (words.length) {
    const word = words.shift();
    if (word === '--fixture-prefix') options.prefix = words.shift();
    else if (word === '--many') options.many = true;
    else if (word === '--only') options.only.push(words.shift());
    else if (word === '--touch') options.touch = words.shift();
    else if (word === '--era') options.era = oneOf(eras);
    else if (word === '--server-era') options.serverEra = oneOf(['legacy', 'modern']);
    else if (word === '--lacks' || word === '--refusals') options[word.slice(2)] = JSON.parse(words.shift());
    else options.url = word;
  }
  options.serverEra ??= options.era;
  const checks = new Checks(makeAdapter(options), options);
  await checks.all();
  process.exit(checks.failed ? 1 : 0);
}
