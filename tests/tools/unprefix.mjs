// A small rewriting proxy between the conformance suite, which knows fixed tool and prompt names, and a gateway that
// prefixes them: `unprefix.mjs URL PREFIX`. Prints its own address. Everything else passes as it is, streams included.

import http from 'node:http';

const [upstream, prefix] = [new URL(process.argv[2]), process.argv[3]];
const BODY_LIMIT = 16 << 20;
const TIMEOUT_MS = 120_000;

// === rewriting ===

const named = new Set(['tools/call', 'prompts/get']);

function outward(message) {
  if (named.has(message?.method) && typeof message.params?.name === 'string') message.params.name = prefix + message.params.name;
  if (message?.method === 'completion/complete' && message.params?.ref?.type === 'ref/prompt') message.params.ref.name = prefix + message.params.ref.name;
  return message;
}

function inward(message) {
  for (const list of [message?.result?.tools, message?.result?.prompts]) {
    for (const item of Array.isArray(list) ? list : []) if (item.name?.startsWith(prefix)) item.name = item.name.slice(prefix.length);
  }
  return message;
}

// What is no JSON is passed on untouched: bad input is part of what the suite sends.
function rewritten(text, rewrite) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    return text;
  }
  return JSON.stringify(Array.isArray(value) ? value.map(rewrite) : rewrite(value));
}

// === passing on ===

async function collect(stream) {
  const chunks = [];
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    if (size > BODY_LIMIT) throw new Error('the body is too large for this proxy');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

// Names the gateway where the client named this proxy; a foreign Host or Origin stays foreign.
function headersFor(request, own, length) {
  const headers = { ...request.headers };
  if (headers.host === own) headers.host = upstream.host;
  if (headers.origin === `http://${own}`) headers.origin = upstream.origin;
  if (headers['mcp-name'] && named.has(headers['mcp-method'])) headers['mcp-name'] = prefix + headers['mcp-name'];
  delete headers['transfer-encoding'];
  if (length !== undefined) headers['content-length'] = String(length);
  return headers;
}

async function answer(incoming, response) {
  const headers = { ...incoming.headers };
  if ((headers['content-type'] ?? '').includes('text/event-stream')) {
    response.writeHead(incoming.statusCode, headers);
    response.flushHeaders();
    let rest = '';
    incoming.setEncoding('utf8');
    for await (const chunk of incoming) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop();
      const out = lines.map((line) => (line.startsWith('data: {') ? `data: ${rewritten(line.slice(6), inward)}` : line));
      if (out.length) response.write(`${out.join('\n')}\n`);
    }
    return response.end(rest);
  }
  const body = await collect(incoming);
  const json = (headers['content-type'] ?? '').includes('application/json');
  const out = json ? Buffer.from(rewritten(body.toString(), inward)) : body;
  delete headers['transfer-encoding'];
  if (body.length || headers['content-length']) headers['content-length'] = String(out.length);
  response.writeHead(incoming.statusCode, headers);
  response.end(out);
}

const server = http.createServer(async (request, response) => {
  const own = `127.0.0.1:${server.address().port}`;
  const fail = () => (response.headersSent ? response.destroy() : response.writeHead(502).end());
  try {
    const body = await collect(request);
    const out = body.length ? Buffer.from(rewritten(body.toString(), outward)) : undefined;
    const path = request.url === '/mcp' ? upstream.pathname : request.url;
    const passed = http.request(
      { host: upstream.hostname, port: upstream.port, method: request.method, path, headers: headersFor(request, own, out?.length), setHost: false, timeout: TIMEOUT_MS },
      (incoming) => answer(incoming, response).catch(fail),
    );
    passed.on('error', fail);
    passed.on('timeout', () => passed.destroy());
    response.on('close', () => passed.destroy());
    passed.end(out);
  } catch {
    fail();
  }
});

server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}/mcp`));
