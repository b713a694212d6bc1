// A rewriting proxy for tests: `serve(upstream, { outward, inward, headers })` prints its own address. `outward` gets each
// JSON-RPC message on its way to the upstream, `inward` each on its way back, `headers` those of a request. Everything else
// passes as it is, streams included.

import http from 'node:http';

const BODY_LIMIT = 16 << 20;
const TIMEOUT_MS = 120_000;

const same = (message) => message;

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
function headersFor(request, upstream, own, rewrite, length) {
  const headers = { ...request.headers };
  if (headers.host === own) headers.host = upstream.host;
  if (headers.origin === `http://${own}`) headers.origin = upstream.origin;
  rewrite?.(headers);
  delete headers['transfer-encoding'];
  if (length !== undefined) headers['content-length'] = String(length);
  return headers;
}

async function answer(incoming, response, inward) {
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

export function serve(upstream, { outward = same, inward = same, headers }) {
  const server = http.createServer(async (request, response) => {
    const own = `127.0.0.1:${server.address().port}`;
    const fail = () => (response.headersSent ? response.destroy() : response.writeHead(502).end());
    try {
      const body = await collect(request);
      const out = body.length ? Buffer.from(rewritten(body.toString(), outward)) : undefined;
      const path = request.url === '/mcp' ? upstream.pathname : request.url;
      const passed = http.request(
        { host: upstream.hostname, port: upstream.port, method: request.method, path, headers: headersFor(request, upstream, own, headers, out?.length), setHost: false, timeout: TIMEOUT_MS },
        (incoming) => answer(incoming, response, inward).catch(fail),
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
}
