// An authorization server (oidc-provider) and an MCP server that takes its tokens, in one process.
//
// `provider.mjs TTL`: prints the URL of the MCP server. `POST /control` there with {"end": "access"} or {"end": "grants"} makes
// tokens invalid; with {"seen": true} it says what it was shown, and over which connections.
import http from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(process.env.NODE_MODULES + "/");
const { Provider } = await import(pathToFileURL(require.resolve("oidc-provider")).href);
const ttl = Number(process.argv[2] ?? 3600);

const listen = handler => new Promise(resolve => {
    const server = http.createServer(handler);
    server.listen(0, "127.0.0.1", () => resolve(server));
});
let callback = (_, response) => response.end();
const issuing = await listen((request, response) => callback(request, response));
const issuer = `http://127.0.0.1:${issuing.address().port}`;
let serve = (_, response) => response.end();
const serving = await listen((request, response) => serve(request, response));
const origin = `http://127.0.0.1:${serving.address().port}`;
const resource = `${origin}/mcp`;

const provider = new Provider(issuer, {
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    scopes: ["openid", "offline_access"],
    rotateRefreshToken: true,
    clientBasedCORS: () => false,
    ttl: { AccessToken: ttl, RefreshToken: 86400, Grant: 86400, Session: 86400, Interaction: 600, AuthorizationCode: 60 },
    features: {
        devInteractions: { enabled: true },
        registration: { enabled: true },
        revocation: { enabled: true },
        resourceIndicators: {
            enabled: true,
            defaultResource: () => resource,
            useGrantedResource: () => true,
            getResourceServerInfo: () => ({ scope: "mcp", audience: resource, accessTokenTTL: ttl, accessTokenFormat: "opaque" }),
        },
    },
});
callback = provider.callback();

const grants = new Set(), seen = [], renewals = [];
provider.on("grant.success", context => {
    grants.add(context.oidc.entities.Grant?.jti);
    renewals.push(context.oidc.params.grant_type);
});
provider.on("grant.error", (context, error) => renewals.push(`${context.oidc.params?.grant_type} ${error.error}`));

const sockets = new Map();
const body = async request => {
    let text = "";
    for await (const part of request) text += part;
    return text;
};
const json = (response, status, value, headers = {}) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(value === undefined ? "" : JSON.stringify(value));
};

async function control(request, response) {
    const asked = JSON.parse(await body(request));
    const shown = asked.end ? new Set(seen.map(entry => entry.shown)) : [];
    for (const token of shown) if (token) await (await provider.AccessToken.find(token))?.destroy();
    if (asked.end === "grants") for (const id of grants) await (await provider.Grant.find(id))?.destroy();
    json(response, 200, { seen, renewals });
}

const results = {
    initialize: params => ({ protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: "mine", version: "1" } }),
    "tools/list": () => ({ tools: [{ name: "whoami", inputSchema: { type: "object" } }] }),
    "tools/call": (_, token) => ({ content: [{ type: "text", text: `you are ${token.accountId}` }] }),
};

serve = async (request, response) => {
    if (request.url === "/control") return control(request, response);
    if (request.url === "/.well-known/oauth-protected-resource/mcp") {
        return json(response, 200, { resource, authorization_servers: [issuer], scopes_supported: ["mcp"] });
    }
    if (request.url !== "/mcp") return json(response, 404, {});
    const text = await body(request);
    const shown = request.headers.authorization?.replace(/^Bearer /, "");
    const token = shown && await provider.AccessToken.find(shown);
    if (!sockets.has(request.socket)) sockets.set(request.socket, sockets.size);
    seen.push({ shown: shown ?? null, who: token?.accountId ?? null, socket: sockets.get(request.socket), headers: request.headers });
    if (!token || token.aud !== resource) {
        const challenge = `Bearer resource_metadata="${origin}/.well-known/oauth-protected-resource/mcp"`;
        return json(response, 401, { error: "invalid_token" }, { "www-authenticate": challenge });
    }
    if (request.method !== "POST") return json(response, 405, {});
    const message = JSON.parse(text);
    if (message.id === undefined) return json(response, 202);
    const result = results[message.method]?.(message.params, token);
    json(response, 200, { jsonrpc: "2.0", id: message.id, ...(result ? { result } : { error: { code: -32601, message: "no" } }) });
};

console.log(resource);
