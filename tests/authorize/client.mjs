// The official TypeScript clients, which are given an address and nothing else: each is let in, calls, renews its token and
// calls again.
//
// `client.mjs URL PACKAGE TOOLS BROWSER WAY REDIRECT`, where WAY is `registers`, `document=URL` or `is=ID`.
import path from "node:path";
import { pathToFileURL } from "node:url";

const [url, kind, tools, browser, way, redirect] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(path.join(tools, "npm/node_modules/@modelcontextprotocol", name)));
const { Client } = await load(kind === "sdk" ? "sdk/dist/esm/client/index.js" : "client/dist/index.mjs");
const { StreamableHTTPClientTransport } = await load(kind === "sdk" ? "sdk/dist/esm/client/streamableHttp.js" : "client/dist/index.mjs");

const held = { client: way.startsWith("is=") ? { client_id: way.slice(3) } : undefined };
let answer = null;
let opened = 0;
const authProvider = {
  redirectUrl: redirect,
  clientMetadataUrl: way.startsWith("document=") ? way.slice("document=".length) : undefined,
  clientMetadata: {
    client_name: "Official", redirect_uris: [redirect], token_endpoint_auth_method: "none",
    grant_types: ["authorization_code", "refresh_token"], response_types: ["code"],
  },
  clientInformation: () => held.client,
  saveClientInformation: (client) => { held.client = client; },
  tokens: () => held.tokens,
  saveTokens: (tokens) => { held.tokens = tokens; },
  state: () => "s-" + opened,
  discoveryState: () => held.discovery,
  saveDiscoveryState: (state) => { held.discovery = state; },
  redirectToAuthorization: async (to) => {
    opened += 1;
    answer = await (await fetch(browser + "?" + new URLSearchParams({ url: String(to) }))).json();
  },
  saveCodeVerifier: (verifier) => { held.verifier = verifier; },
  codeVerifier: () => held.verifier,
};

const begin = async () => {
  const transport = new StreamableHTTPClientTransport(new URL(url), { authProvider });
  const client = new Client({ name: "official", version: "1" });
  try {
    await client.connect(transport);
    return client;
  } catch (error) {
    if (!answer) throw error;
    if (answer.state !== "s-" + (opened - 1)) throw new Error("another state");
    await (kind === "sdk" ? transport.finishAuth(answer.code) : transport.finishAuth(answer.code, answer.iss));
    return null;
  }
};

const client = (await begin()) ?? (await begin());
const name = (await client.listTools()).tools.map((tool) => tool.name).find((one) => one.endsWith("test_simple_text"));
const call = async () => (await client.callTool({ name, arguments: {} })).content[0].text;
const first = await call();
// As if it had expired.
const before = held.tokens.access_token;
held.tokens = { ...held.tokens, access_token: before.slice(0, -4) + "AAAA" };
const second = await call();
console.log(JSON.stringify({
  first, second, opened, renewed: held.tokens.access_token !== before, client: held.client.client_id, token: held.tokens.access_token,
}));
await client.close();
