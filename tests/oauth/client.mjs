// The official TypeScript client, which is given an address and nothing else, signs in and calls a tool.
import path from "node:path";
import { pathToFileURL } from "node:url";

const [url, tools] = process.argv.slice(2);
const REDIRECT = "http://127.0.0.1:9/callback";
const sdk = (name) => import(pathToFileURL(path.join(tools, "npm/node_modules/@modelcontextprotocol/sdk/dist/esm/client", name)));
const { Client } = await sdk("index.js");
const { StreamableHTTPClientTransport } = await sdk("streamableHttp.js");

// A browser that does what it is told.
async function follow(from) {
  const cookies = new Map();
  for (let at = from, count = 0; count < 20; count += 1) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(at, { redirect: "manual", headers: { cookie } });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
      cookies.set(name, value);
    }
    at = new URL(response.headers.get("location"), at);
    if (at.href.startsWith(REDIRECT)) return at.searchParams;
  }
  throw new Error("no end of redirects");
}

const held = {};
let answer = null;
const authProvider = {
  redirectUrl: REDIRECT,
  clientMetadata: {
    client_name: "suite", redirect_uris: [REDIRECT], token_endpoint_auth_method: "none",
    grant_types: ["authorization_code", "refresh_token"], response_types: ["code"],
  },
  clientInformation: () => held.client,
  saveClientInformation: (client) => { held.client = client; },
  tokens: () => held.tokens,
  saveTokens: (tokens) => { held.tokens = tokens; },
  redirectToAuthorization: async (to) => { answer = await follow(to); },
  saveCodeVerifier: (verifier) => { held.verifier = verifier; },
  codeVerifier: () => held.verifier,
};

const begin = async () => {
  const transport = new StreamableHTTPClientTransport(new URL(url), { authProvider });
  const client = new Client({ name: "suite", version: "1" });
  try {
    await client.connect(transport);
    return client;
  } catch (error) {
    if (!answer) throw error;
    await transport.finishAuth(answer.get("code"));
    return null;
  }
};

const client = (await begin()) ?? (await begin());
const names = (await client.listTools()).tools.map((tool) => `'${tool.name}'`).sort();
console.log(`[${names.join(", ")}]`);
console.log((await client.callTool({ name: "files__read", arguments: {} })).content[0].text);
await client.close();
