// A small rewriting proxy between the conformance suite, which knows fixed tool and prompt names, and a gateway that
// prefixes them: `unprefix.mjs URL PREFIX`. Prints its own address. Everything else passes as it is, streams included.

import { serve } from './proxy.mjs';

const [upstream, prefix] = [new URL(process.argv[2]), process.argv[3]];

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

serve(upstream, {
  outward,
  inward,
  headers(headers) {
    if (headers['mcp-name'] && named.has(headers['mcp-method'])) headers['mcp-name'] = prefix + headers['mcp-name'];
  },
});
