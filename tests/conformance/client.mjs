// The reference client of the conformance runs: the released TypeScript client doing what each client scenario of
// the official suite waits for.
//
//   MCP_CONFORMANCE_SCENARIO=tools_call node client.mjs http://localhost:PORT/mcp
//
// The suite sets MCP_CONFORMANCE_PROTOCOL_VERSION and, for some scenarios, MCP_CONFORMANCE_CONTEXT as well. The
// client is the one that tests/tools/setup.sh installs.
import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const tools = process.env.BARTIZAN_TOOLS ?? fileURLToPath(new URL('../../.tools', import.meta.url));
const {
    Client,
    ClientCredentialsProvider,
    CrossAppAccessProvider,
    DpopSession,
    PrivateKeyJwtProvider,
    StreamableHTTPClientTransport,
    UnauthorizedError,
    requestJwtAuthorizationGrant,
} = createRequire(join(tools, 'npm', 'package.json'))('@modelcontextprotocol/client');

/** Stands for a person with a browser who agrees to everything at once. */
class Browser {
    redirectUrl = 'http://localhost:3000/callback';
    clientMetadataUrl = 'https://conformance-test.local/client-metadata.json';
    clientMetadata = {
        client_name: 'bartizan-conformance-client',
        redirect_uris: [this.redirectUrl],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        application_type: 'native',
    };
    #clients = new Map();
    #tokens = new Map();
    #latest;
    #verifier;
    #state;
    #discovered;

    /** Takes credentials agreed on beforehand, if there are any. */
    constructor({ client_id, client_secret, issuer }) {
        this.registered = client_id && { client_id, client_secret, issuer };
    }

    state() {
        return (this.#state = randomUUID());
    }

    clientInformation(context) {
        return this.registered ?? this.#clients.get(context?.issuer);
    }

    saveClientInformation(client, context) {
        this.#clients.set(context?.issuer, client);
    }

    tokens(context) {
        return context ? this.#tokens.get(context.issuer) : this.#latest;
    }

    saveTokens(tokens, context) {
        this.#tokens.set(context?.issuer, tokens);
        this.#latest = tokens;
        // The next flow may find another authorization server.
        this.#discovered = undefined;
    }

    saveCodeVerifier(verifier) {
        this.#verifier = verifier;
    }

    codeVerifier() {
        return this.#verifier;
    }

    saveDiscoveryState(state) {
        this.#discovered = state;
    }

    discoveryState() {
        return this.#discovered;
    }

    async redirectToAuthorization(url) {
        const reply = await fetch(url, { redirect: 'manual' });
        const location = reply.headers.get('location');
        if (!location) throw new Error(`the authorization server answered ${reply.status} and no redirect`);
        this.callback = new URL(location).searchParams;
        if (this.callback.get('state') !== this.#state) throw new Error('the state came back changed');
    }
}

/** Stands for a program that runs where its platform vouches for it. */
class Workload extends Browser {
    redirectUrl = undefined;

    constructor(context) {
        super(context);
        this.assertion = context.valid_jwt;
    }

    prepareTokenRequest() {
        return new URLSearchParams({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: this.assertion });
    }
}

/** The way in which the scenario wants the client to be authorized. */
function credentials(scenario, context) {
    const [clientId, clientSecret] = [context.client_id, context.client_secret];
    switch (scenario) {
        case 'auth/client-credentials-basic':
            return new ClientCredentialsProvider({ clientId, clientSecret });
        case 'auth/client-credentials-jwt':
            return new PrivateKeyJwtProvider({
                clientId,
                privateKey: context.private_key_pem,
                algorithm: context.signing_algorithm,
            });
        case 'auth/enterprise-managed-authorization':
            return new CrossAppAccessProvider({ clientId, clientSecret, assertion: target => grant(context, target) });
        case 'auth/wif-jwt-bearer':
            return new Workload(context);
        case 'auth/dpop':
        case 'auth/dpop-nonce': {
            const keys = DpopSession.create();
            return Object.assign(new Browser(context), { dpop: () => keys });
        }
        default:
            return new Browser(context);
    }
}

/** Exchanges what the identity provider has issued for a grant at the server's authorization server. */
async function grant(context, target) {
    const { jwtAuthGrant } = await requestJwtAuthorizationGrant({
        tokenEndpoint: context.idp_token_endpoint,
        audience: target.authorizationServerUrl,
        resource: target.resourceUrl,
        idToken: context.idp_id_token,
        clientId: context.idp_client_id,
        scope: target.scope,
        fetchFn: target.fetchFn,
    });
    return jwtAuthGrant;
}

/** One client of one server, which authorizes whenever the server asks for it. */
class Session {
    /** Servers that never stop asking are given up on after as many rounds. */
    #roundsLeft = 2;

    constructor(url, modern, credentials) {
        this.url = new URL(url);
        this.modern = modern;
        this.credentials = credentials;
    }

    async connect() {
        await this.#authorized(async () => {
            const capabilities = { elicitation: { form: { applyDefaults: true } }, sampling: {}, roots: {} };
            const versionNegotiation = this.modern ? { mode: 'auto' } : undefined;
            this.client = new Client({ name: 'bartizan-conformance-client', version: '1.0.0' }, { capabilities, versionNegotiation });
            this.client.setRequestHandler('elicitation/create', () => ({ action: 'accept', content: {} }));
            this.client.setRequestHandler('roots/list', () => ({ roots: [] }));
            this.client.setRequestHandler('sampling/createMessage', () => ({
                role: 'assistant',
                model: 'none',
                content: { type: 'text', text: 'Hello' },
            }));
            this.transport = new StreamableHTTPClientTransport(this.url, { authProvider: this.credentials });
            await this.client.connect(this.transport);
        });
    }

    /** Runs one request of the client. */
    async do(request) {
        return this.#authorized(() => request(this.client));
    }

    async close() {
        await this.client.close();
    }

    async #authorized(attempt) {
        for (;;) {
            try {
                return await attempt();
            } catch (error) {
                if (!(error instanceof UnauthorizedError) || !this.credentials.callback || this.#roundsLeft-- === 0) throw error;
                const callback = this.credentials.callback;
                this.credentials.callback = undefined;
                await this.transport.finishAuth(callback);
            }
        }
    }
}

/** A value that the schema allows, as far as the suite's schemas go. */
function sample(schema) {
    if (schema.enum) return schema.enum[0];
    if (schema.type === 'object' || schema.properties) {
        return Object.fromEntries(Object.entries(schema.properties ?? {}).map(([name, inner]) => [name, sample(inner)]));
    }
    return { string: 'test', number: 5, integer: 5, boolean: true, array: [] }[schema.type] ?? 'test';
}

/** The calls to make: those the scenario names, or every tool once. */
function calls(tools, context) {
    if (context.toolCalls) return context.toolCalls;
    const rich = tools.find(tool => tool.name === 'json_schema_2020_12_tool');
    return tools.map(({ name, inputSchema }) => ({
        name,
        arguments: name === 'json_schema_echo' ? { schema: rich?.inputSchema } : sample(inputSchema),
    }));
}

const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const modern = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION === '2026-07-28';
const session = new Session(process.argv[2], modern, credentials(process.env.MCP_CONFORMANCE_SCENARIO, context));
await session.connect();
const { tools: listed } = await session.do(client => client.listTools());
for (const call of calls(listed, context)) {
    await session.do(client => client.callTool(call));
}
const can = session.client.getServerCapabilities() ?? {};
if (can.resources) {
    const { resources } = await session.do(client => client.listResources());
    for (const { uri } of resources) await session.do(client => client.readResource({ uri }));
}
if (can.prompts) {
    const { prompts } = await session.do(client => client.listPrompts());
    for (const { name } of prompts) await session.do(client => client.getPrompt({ name }));
}
await session.close();
