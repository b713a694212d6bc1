// A real authorization server on loopback: `issuer.mjs [PORT]`. JWT access tokens of the scopes `invoke` and `admin` for
// whatever resource a client names (RFC 8707), PKCE, refresh tokens, and clients that register themselves or are described by
// a document of their own (client ID metadata documents).
//
// The address is printed as one line on stdout when it is ready to accept.

import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import shared from './shared.json' with { type: 'json' };

// node_modules never lies in the work tree.
const lib = '../.cache/npm/issuer/node_modules/oidc-provider/lib';
const { default: Provider } = await import(`${lib}/index.js`);
const { default: Memory } = await import(`${lib}/adapters/memory_adapter.js`);

const SCOPES = ['invoke', 'admin'];
// Short, so that tokens end while a session is on. Gateways take them for a minute longer, so this clock is almost that far behind: what is
// left is for clients that renew in time, since these see whole seconds.
const LIFETIME_S = 2;
const BEHIND_S = 58;
const BODY_LIMIT = 1 << 12;
const DOCUMENT = { ...shared.client, client_id: shared.document };

const key = (kid, kind, options, alg) => ({ ...generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' }), kid, alg, use: 'sig' });

// What a client may ask for is decided when its user signs in: the official TypeScript clients register with the scopes that they need
// first, and could ask for no others later.
class Store extends Memory {
  constructor(model) {
    super(model);
    this.model = model;
  }

  upsert(id, payload, expires) {
    const { scope, ...kept } = payload;
    return super.upsert(id, this.model === 'Client' ? kept : payload, expires);
  }
}

const configuration = {
  adapter: Store,
  clients: [],
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  cookies: { keys: ['no-secret'] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  scopes: ['openid', 'offline_access', ...SCOPES],
  pkce: { required: () => true },
  issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
  // The official TypeScript clients renew once for each request that is refused, and two at once end a rotating token.
  rotateRefreshToken: false,
  jwks: { keys: [key('ec', 'ec', { namedCurve: 'P-256' }, 'ES256'), key('rsa', 'rsa', { modulusLength: 2048 }, 'RS256')] },
  interactions: { url: (_, { uid }) => `/interaction/${uid}` },
  ttl: { AccessToken: LIFETIME_S, Session: 600, Grant: 600, Interaction: 60, RefreshToken: 600, AuthorizationCode: 60 },
  features: {
    devInteractions: { enabled: false },
    registration: { enabled: true },
    clientIdMetadataDocument: { enabled: true, ack: 'draft-02' },
    userinfo: { enabled: false },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => ({
        scope: SCOPES.join(' '),
        audience: resource,
        accessTokenTTL: LIFETIME_S,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: new URL(resource).pathname === '/mcp' ? 'ES256' : 'RS256' } },
      }),
    },
  },
  formats: {
    customizers: {
      jwt(_, __, { payload }) {
        payload.iat -= BEHIND_S;
        payload.exp -= BEHIND_S;
      },
    },
  },
  // No document lies on the internet.
  fetch: async (url) => (String(url) === shared.document ? Response.json(DOCUMENT) : new Response(null, { status: 404 })),
};

async function form(request) {
  let text = '';
  for await (const chunk of request) if (text.length < BODY_LIMIT) text += chunk;
  return new URLSearchParams(text);
}

// What a person decides: who they are, and that the client may have what it asks for.
async function decided(provider, { prompt, params, session, grantId }, fields) {
  if (prompt.name === 'login') {
    const user = fields.get('user');
    return Object.hasOwn(shared.users, user ?? '') && shared.users[user] === fields.get('password') && { login: { accountId: user } };
  }
  const grant = (grantId && (await provider.Grant.find(grantId))) || new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  for (const [resource, scopes] of Object.entries(prompt.details.missingResourceScopes ?? {})) grant.addResourceScope(resource, scopes.join(' '));
  if (prompt.details.missingOIDCScope) grant.addOIDCScope(prompt.details.missingOIDCScope.join(' '));
  return { consent: { grantId: await grant.save() } };
}

// A page with one form, and what comes of it.
async function interaction(provider, request, response) {
  const details = await provider.interactionDetails(request, response);
  const result = request.method === 'POST' && (await decided(provider, details, await form(request)));
  if (result) return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: details.prompt.name === 'consent' });
  const fields = details.prompt.name === 'login' ? '<input name="user"><input name="password" type="password">' : `<p>${details.params.scope}</p>`;
  response.writeHead(request.method === 'POST' ? 403 : 200, { 'content-type': 'text/html' });
  response.end(`<form method="post" action="${request.url}" id="${details.prompt.name}">${fields}<button>Go on</button></form>`);
}

const server = http.createServer();
server.listen(Number(process.argv[2] ?? 0), '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, configuration);
for (const event of ['server_error', 'grant.error', 'authorization.error', 'registration_create.error']) {
  provider.on(event, (_, error) => console.error(`${event}: ${error.error_description ?? error.stack}: ${error.error_detail ?? ''}`));
}
const answer = provider.callback();
server.on('request', (request, response) => {
  console.log(`${request.method} ${request.url.split('?')[0]}`);
  if (!request.url.startsWith('/interaction/')) return answer(request, response);
  interaction(provider, request, response).catch((error) => response.writeHead(400).end(error.message));
});
console.log(`authorization server: ${issuer}`);
