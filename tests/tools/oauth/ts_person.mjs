// A person with a browser, and what a TypeScript client keeps for them. The Python twins are in python_client.py.

import { randomUUID } from 'node:crypto';
import { need } from '../clients/ts_host.mjs';
import shared from './shared.json' with { type: 'json' };

const REDIRECT = shared.client.redirect_uris[0];
const STEPS = 24;

export const DOCUMENT = shared.document;

// Signs in, and lets the client have what it asks for. The browser stays signed in.
export class Person {
  asked = [];
  pages = [];
  landed = undefined;
  #cookies = new Map();

  constructor(name) {
    this.name = name;
  }

  async visit(start) {
    this.asked.push(Object.fromEntries(start.searchParams));
    let [url, form] = [start, undefined];
    for (let step = 0; step < STEPS; step += 1) {
      const response = await this.#open(url, form);
      const location = response.headers.get('location');
      if (location) {
        await response.body?.cancel();
        [url, form] = [new URL(location, url), undefined];
        if (!url.href.startsWith(REDIRECT)) continue;
        this.landed = url.searchParams;
        need(this.landed.has('code'), url.search);
        return;
      }
      const page = await response.text();
      const [, action, id] = page.match(/<form method="post" action="([^"]+)" id="([^"]+)"/) ?? [];
      need(response.status === 200 && action, `${url}: ${response.status} ${page.slice(0, 300)}`);
      this.pages.push(id);
      form = new URLSearchParams(id === 'login' ? { user: this.name, password: shared.users[this.name] } : {});
      url = new URL(action, url);
    }
    need(false, `the authorization server asks without end: ${this.pages}`);
  }

  async #open(url, body) {
    const fit = [...this.#cookies.values()].filter(({ path }) => url.pathname.startsWith(path));
    const headers = { cookie: fit.map(({ pair }) => pair).join('; ') };
    const response = await fetch(url, { method: body ? 'POST' : 'GET', body, headers, redirect: 'manual' });
    for (const line of response.headers.getSetCookie()) {
      const [pair, ...attributes] = line.split(/; */);
      const path = attributes.find((one) => /^path=/i.test(one))?.slice(5) ?? '/';
      const key = `${pair.split('=')[0]} ${path}`;
      if (pair.endsWith('=')) this.#cookies.delete(key);
      else this.#cookies.set(key, { pair, path });
    }
    return response;
  }
}

// What a host keeps, as both lines of the SDK ask for it.
export class Keeper {
  kept = {};

  constructor(person, registers) {
    this.person = person;
    // A client registers itself, or names the document that describes it.
    if (!registers) this.clientMetadataUrl = DOCUMENT;
  }

  get redirectUrl() {
    return REDIRECT;
  }

  get clientMetadata() {
    return shared.client;
  }

  state() {
    this.kept.state = randomUUID();
    return this.kept.state;
  }

  clientInformation = () => this.kept.client;
  saveClientInformation = (client) => void (this.kept.client = client);
  tokens = () => this.kept.tokens;
  saveTokens = (tokens) => void (this.kept.tokens = tokens);
  codeVerifier = () => this.kept.verifier;
  saveCodeVerifier = (verifier) => void (this.kept.verifier = verifier);
  discoveryState = () => this.kept.discovery;
  saveDiscoveryState = (discovery) => void (this.kept.discovery = discovery);

  async redirectToAuthorization(url) {
    await this.person.visit(url);
    need(this.person.landed.get('state') === this.kept.state, 'another state');
  }

  invalidateCredentials(what) {
    for (const name of what === 'all' ? Object.keys(this.kept) : [what]) delete this.kept[name];
  }
}
