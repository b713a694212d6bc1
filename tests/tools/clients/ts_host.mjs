// What the TypeScript clients' checks stand on: the client's side of a conversation, waiting, and cutting streams.
// The Python twin is python_host.py.

const POLL_MS = 50;

export class Skip extends Error {}

// === helpers ===

export const flat = (value) => JSON.stringify(value);
export const textOf = (result) => (result.content ?? []).filter((c) => c.type === 'text').map((c) => c.text).join('\n');

export function need(condition, detail) {
  if (!condition) throw new Error(typeof detail === 'string' ? detail : flat(detail).slice(0, 600));
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Waits for a condition, since notifications come in their own time.
export async function until(condition, what, limit = 10_000) {
  const end = Date.now() + limit;
  while (!(await condition())) {
    need(Date.now() < end, `never came: ${what}`);
    await pause(POLL_MS);
  }
}

export async function within(limit, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end within ${limit / 1000} s`)), limit);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

// A valid answer to a requested schema: defaults first, else something of the right type.
export function fill(params) {
  const formats = { email: 'ada@example.com', uri: 'https://example.com/', date: '2026-01-02', 'date-time': '2026-01-02T03:04:05Z' };
  const one = (schema) => {
    if ('default' in schema) return schema.default;
    if (schema.enum) return schema.enum[0];
    if (schema.oneOf) return schema.oneOf[0].const;
    if (schema.type === 'array') return [schema.items.enum?.[0] ?? schema.items.anyOf[0].const];
    if (schema.type === 'integer' || schema.type === 'number') return schema.minimum ?? 1;
    if (schema.type === 'boolean') return true;
    return formats[schema.format] ?? 'Ada Lovelace'.slice(0, schema.maxLength);
  };
  return Object.fromEntries(Object.entries(params.requestedSchema?.properties ?? {}).map(([name, schema]) => [name, one(schema)]));
}

// The client's side of the conversation: answers questions by the check's wish and remembers what arrived.
export class Host {
  answer = () => ({ action: 'decline' });
  asked = [];
  logs = [];
  notices = [];
  roots = [
    { uri: 'file:///work/alpha', name: 'alpha' },
    { uri: 'file:///work/beta', name: 'beta' },
  ];

  elicit(params) {
    this.asked.push(params);
    return this.answer(params);
  }

  sample(params) {
    this.asked.push(params);
    return { role: 'assistant', model: 'fixture-model', stopReason: 'endTurn', content: { type: 'text', text: 'sampled: forty-two' } };
  }

  notice({ method, params }) {
    if (method === 'notifications/message') this.logs.push(params);
    this.notices.push([method, params ?? {}]);
  }

  saw(method, wanted = {}) {
    return this.notices.some(([m, p]) => m === method && Object.entries(wanted).every(([k, v]) => p[k] === v));
  }
}

// A fetch that can cut an event stream in the middle, as a bad network does.
export class Cutter {
  after = undefined;
  cuts = 0;
  eventIds = 0;
  resumed = false;

  // The next POST answered with an event stream loses its connection after that many events with data.
  arm(after) {
    this.after = after;
  }

  fetch = async (url, init) => {
    if (new Headers(init?.headers).has('last-event-id')) this.resumed = true;
    const response = await fetch(url, init);
    const sse = (response.headers.get('content-type') ?? '').includes('text/event-stream');
    if (this.after === undefined || init?.method !== 'POST' || !sse) return response;
    const after = this.after;
    this.after = undefined;
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    let seen = 0;
    const body = new ReadableStream({
      pull: async (controller) => {
        if (seen >= after) {
          this.cuts += 1;
          await reader.cancel();
          controller.error(new TypeError('terminated: cut by the test'));
          return;
        }
        const { done, value } = await reader.read();
        if (done) return controller.close();
        const text = decoder.decode(value, { stream: true });
        this.eventIds += (text.match(/^id:/gm) ?? []).length;
        seen += (text.match(/^data: *\{/gm) ?? []).length;
        controller.enqueue(value);
      },
    });
    return new Response(body, { status: response.status, headers: response.headers });
  };
}
