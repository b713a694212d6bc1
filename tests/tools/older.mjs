// Makes a legacy server into one of 2025-06-18, as far as a client can tell: `older.mjs URL`. Whatever `initialize` asks for,
// that is what it gets, and the capabilities that came later never arrive.

import { serve } from './proxy.mjs';

const REVISION = '2025-06-18';

function outward(message) {
  if (message?.method !== 'initialize') return message;
  message.params.protocolVersion = REVISION;
  const { elicitation } = message.params.capabilities;
  // Modes came with 2025-11-25.
  if (elicitation) message.params.capabilities.elicitation = {};
  return message;
}

serve(new URL(process.argv[2]), { outward });
