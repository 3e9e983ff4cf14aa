// An identity provider for the suite: `oidc-provider`, which signs in one person without asking, and what attacks need that
// no provider does. It prints the port that it listens on; what is for the suite itself is under `/suite/`.
import crypto from "node:crypto";
import http from "node:http";
import path from "node:path";
import { pathToFileURL } from "node:url";

const tools = process.argv[2];
const { default: Provider } = await import(pathToFileURL(path.join(tools, "npm/node_modules/oidc-provider/lib/index.js")));

const SCOPE = "mcp server:files server:git tool:files/read read:files";
const ACR = "urn:suite:two-factors";
const signers = new Map();
const EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token";
const counts = { jwks: 0, metadata: 0, introspection: 0 };
// What was asked to be exchanged, and how that is answered: how long the new ones last, which error, the old one or none at all.
let exchanged = [];
let exchange = {};
let isDown = false;
let round = 0;
let keys = [];
let handle = null;

const base64 = (value) => Buffer.from(value).toString("base64url");
const json = (value) => base64(JSON.stringify(value));

function newKeys() {
  round += 1;
  const pairs = {
    [`ec-${round}`]: crypto.generateKeyPairSync("ec", { namedCurve: "P-256" }),
    [`rsa-${round}`]: crypto.generateKeyPairSync("rsa", { modulusLength: 2048 }),
  };
  for (const [kid, pair] of Object.entries(pairs)) signers.set(kid, pair);
  keys = Object.entries(pairs).map(([kid, { privateKey }]) => ({ ...privateKey.export({ format: "jwk" }), kid, use: "sig" }));
}

function provider(issuer) {
  const made = new Provider(issuer, {
    jwks: { keys },
    clients: ["app", "opaque"].map((client_id) => ({
      client_id, client_secret: "secret", redirect_uris: ["http://127.0.0.1:9/callback"],
      grant_types: ["authorization_code", "refresh_token", "client_credentials"], response_types: ["code"],
      token_endpoint_auth_method: "client_secret_post",
    })).concat([{
      client_id: "gateway", client_secret: "hush hush", redirect_uris: [], response_types: [], grant_types: [EXCHANGE],
      token_endpoint_auth_method: "client_secret_basic",
    }]),
    cookies: { keys: ["suite"] },
    scopes: ["openid", "offline_access", ...SCOPE.split(" ")],
    pkce: { required: () => true },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    issueRefreshToken: () => true,
    acrValues: [ACR],
    extraTokenClaims: (ctx) => {
      const of = ctx.oidc.entities.AuthorizationCode ?? ctx.oidc.entities.RefreshToken;
      const signedIn = { auth_time: of?.authTime ?? Math.floor(Date.now() / 1000), amr: of?.amr ?? ["pwd", "otp"], acr: of?.acr };
      return { groups: ["staff"], realm: { roles: ["writer"] }, tid: "acme", ...signedIn };
    },
    ttl: { AccessToken: 300, ClientCredentials: 300, Grant: 3600, Interaction: 600, Session: 3600, RefreshToken: 3600, IdToken: 300 },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      registration: { enabled: true },
      dPoP: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        useGrantedResource: () => true,
        getResourceServerInfo: (_, resource, client) => ({
          scope: SCOPE, audience: resource,
          ...(client.clientId === "opaque" ? { accessTokenFormat: "opaque" } : { accessTokenFormat: "jwt", jwt: { sign: { alg: "ES256" } } }),
        }),
      },
    },
  });
  made.use(async (ctx, next) => {
    if (!ctx.path.startsWith("/interaction/")) return next();
    const { prompt, params, session } = await made.interactionDetails(ctx.req, ctx.res);
    if (prompt.name === "login") {
      // Whoever is asked for a second factor shows one.
      const shown = params.acr_values ? { acr: ACR, amr: ["pwd", "otp"] } : { amr: ["pwd"] };
      return made.interactionFinished(ctx.req, ctx.res, { login: { accountId: "ann", ...shown } });
    }
    const grant = new made.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope(params.scope ?? "");
    if (params.resource) for (const resource of [params.resource].flat()) grant.addResourceScope(resource, params.scope ?? "");
    return made.interactionFinished(ctx.req, ctx.res, { consent: { grantId: await grant.save() } });
  });
  made.registerGrantType(EXCHANGE, give, ["subject_token", "subject_token_type", "requested_token_type", "resource", "audience", "scope"]);
  return made.callback();
}

// What this provider gives for one of its tokens: oidc-provider checks who asks and has no such grant itself.
async function give(ctx) {
  const { subject_token, subject_token_type, ...asked } = ctx.oidc.params;
  exchanged.push({ ...asked, subject_token, subject_token_type, client: ctx.oidc.client.clientId });
  const refuse = (error) => { ctx.status = 400; ctx.body = { error, error_description: "words of the provider" }; };
  if (exchange.waits) await new Promise((wake) => setTimeout(wake, exchange.waits));
  if (exchange.error) return refuse(exchange.error);
  const [head, claims, signature] = subject_token.split(".");
  const read = (part) => JSON.parse(Buffer.from(part, "base64url"));
  const key = { key: signers.get(read(head).kid).publicKey, dsaEncoding: "ieee-p1363" };
  const subject = read(claims);
  const good = crypto.verify("sha256", Buffer.from(`${head}.${claims}`), key, Buffer.from(signature, "base64url"));
  if (!good || subject.iss !== issuer || subject.exp * 1000 < Date.now()) return refuse("invalid_grant");
  const now = Math.floor(Date.now() / 1000);
  const lasts = exchange.lasts ?? 300;
  const token = exchange.same ? subject_token : sign({
    header: { typ: "at+jwt", alg: "ES256", kid: `ec-${round}` },
    claims: { iss: issuer, sub: subject.sub, aud: asked.resource ?? asked.audience, client_id: "gateway", scope: asked.scope,
              act: { sub: "gateway" }, iat: now, exp: now + lasts, jti: crypto.randomUUID() },
  });
  ctx.body = { access_token: token, issued_token_type: ACCESS_TOKEN, token_type: "Bearer", expires_in: lasts };
}

function sign({ header, claims, signer, other }) {
  if (other && !signers.has(other)) signers.set(other, crypto.generateKeyPairSync("ec", { namedCurve: "P-256" }));
  const kid = other ?? signer ?? `ec-${round}`;
  const { privateKey, publicKey } = signers.get(kid);
  if (header.jwk === true) header.jwk = publicKey.export({ format: "jwk" });
  const text = `${json(header)}.${json(claims)}`;
  if (header.alg === "none") return `${text}.`;
  if (header.alg === "HS256") {
    const pem = publicKey.export({ type: "spki", format: "pem" });
    return `${text}.${crypto.createHmac("sha256", pem).update(text).digest("base64url")}`;
  }
  const key = header.alg === "RS256" ? privateKey : { key: privateKey, dsaEncoding: "ieee-p1363" };
  return `${text}.${crypto.sign("sha256", Buffer.from(text), key).toString("base64url")}`;
}

const suite = {
  "/suite/sign": sign,
  "/suite/rotate": () => { newKeys(); handle = provider(issuer); return { round }; },
  "/suite/exchange": (wanted) => { exchange = wanted; const all = exchanged; exchanged = []; return all; },
  "/suite/down": ({ down }) => { isDown = down; return {}; },
  "/suite/counts": () => ({ ...counts, round }),
};

async function body(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

const server = http.createServer(async (request, response) => {
  const { pathname } = new URL(request.url, "http://idp");
  if (suite[pathname]) {
    const answer = suite[pathname](JSON.parse((await body(request)) || "{}"));
    return response.end(JSON.stringify(answer));
  }
  if (pathname === "/jwks") counts.jwks += 1;
  if (pathname.startsWith("/.well-known/")) counts.metadata += 1;
  if (pathname === "/token/introspection") counts.introspection += 1;
  if (isDown) return request.socket.destroy();
  return handle(request, response);
});
let issuer = null;
server.listen(0, "127.0.0.1", () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  newKeys();
  handle = provider(issuer);
  console.log(server.address().port);
});
