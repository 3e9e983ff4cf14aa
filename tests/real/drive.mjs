// The TypeScript clients carrying out a scenario: reads a task as JSON from stdin and prints the outcome as JSON.
//
// The task: `client` (`v2` for @modelcontextprotocol/client, `v1` for @modelcontextprotocol/sdk), `target` (`command`
// and `env`, or `url`), `mode` (`auto`, `legacy` or `2026-07-28`), `dir`, `steps`; for the verbs see scenarios.py.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const PATIENCE = 20_000;
const task = JSON.parse(readFileSync(0, 'utf8'));
const tools = process.env.BARTIZAN_TOOLS ?? fileURLToPath(new URL('../../.tools', import.meta.url));
const load = createRequire(join(tools, 'npm', 'package.json'));

/** Both generations of the client, made alike. */
const generations = {
    v2() {
        const { Client, StreamableHTTPClientTransport } = load('@modelcontextprotocol/client');
        const { StdioClientTransport } = load('@modelcontextprotocol/client/stdio');
        const mode = ['auto', 'legacy'].includes(task.mode) ? task.mode : { pin: task.mode };
        return {
            Client: class extends Client {
                constructor(info, options) {
                    super(info, { ...options, versionNegotiation: { mode } });
                }
            },
            StreamableHTTPClientTransport,
            StdioClientTransport,
            on: (client, method, handler) => client.setNotificationHandler(method, handler),
            answer: (client, method, handler) => client.setRequestHandler(method, handler),
            call: (client, params, options) => client.callTool(params, options),
        };
    },
    v1() {
        const sdk = '@modelcontextprotocol/sdk';
        const { Client } = load(`${sdk}/client/index.js`);
        const { StdioClientTransport } = load(`${sdk}/client/stdio.js`);
        const { StreamableHTTPClientTransport } = load(`${sdk}/client/streamableHttp.js`);
        const types = load(`${sdk}/types.js`);
        const schemas = {
            'notifications/message': types.LoggingMessageNotificationSchema,
            'notifications/resources/updated': types.ResourceUpdatedNotificationSchema,
            'sampling/createMessage': types.CreateMessageRequestSchema,
            'elicitation/create': types.ElicitRequestSchema,
            'roots/list': types.ListRootsRequestSchema,
        };
        return {
            Client,
            StdioClientTransport,
            StreamableHTTPClientTransport,
            on: (client, method, handler) => client.setNotificationHandler(schemas[method], handler),
            answer: (client, method, handler) => client.setRequestHandler(schemas[method], handler),
            call: (client, params, options) => client.callTool(params, undefined, options),
        };
    },
};

const api = generations[task.client]();
const outcome = {};
const [asked, updates, logs] = [[], [], []];
let wake = () => {};

function filled(value) {
    return JSON.parse(JSON.stringify(value).replaceAll('${dir}', task.dir));
}

function told(error) {
    return { error: error.code ?? error.name, message: error.message };
}

async function until(ready) {
    const late = Date.now() + PATIENCE;
    while (!ready()) {
        if (Date.now() > late) throw new Error('it did not come');
        await new Promise((resolve) => {
            wake = resolve;
            setTimeout(resolve, 200);
        });
    }
}

function transport() {
    if (task.target.url) return new api.StreamableHTTPClientTransport(new URL(task.target.url));
    const [command, ...args] = task.target.command;
    return new api.StdioClientTransport({ command, args, env: { PATH: process.env.PATH, ...task.target.env }, cwd: task.dir, stderr: 'ignore' });
}

function make() {
    const capabilities = { sampling: {}, elicitation: { form: {} }, roots: {} };
    const client = new api.Client({ name: 'drive', version: '1' }, { capabilities });
    api.on(client, 'notifications/message', ({ params }) => {
        logs.push(params.level);
        wake();
    });
    api.on(client, 'notifications/resources/updated', ({ params }) => {
        updates.push(params.uri);
        wake();
    });
    api.answer(client, 'sampling/createMessage', async ({ params }) => {
        asked.push(['sampling', params.messages.at(-1).content.text]);
        return { role: 'assistant', content: { type: 'text', text: 'a sampled answer' }, model: 'none', stopReason: 'endTurn' };
    });
    api.answer(client, 'elicitation/create', async ({ params }) => {
        asked.push(['elicitation', params.message]);
        const { properties = {}, required = [] } = params.requestedSchema ?? {};
        const content = {};
        for (const name of required) content[name] = answer(properties[name] ?? {});
        return { action: 'accept', content };
    });
    api.answer(client, 'roots/list', async () => {
        asked.push(['roots']);
        return { roots: [{ uri: 'file:///somewhere', name: 'somewhere' }] };
    });
    return client;
}

/** Some value that fits a property of an elicitation. */
function answer(schema) {
    if (schema.enum) return schema.enum[0];
    if (schema.oneOf) return schema.oneOf[0].const;
    return { boolean: true, integer: 42, number: 4.5, array: [] }[schema.type] ?? 'x@example.com';
}

const verbs = {
    tool: (client, name, args) => api.call(client, { name, arguments: args }),
    read: (client, uri) => client.readResource({ uri }),
    prompt: (client, name, args) => client.getPrompt({ name, arguments: args }),
    async fails(client, verb, ...args) {
        const result = await verbs[verb](client, ...args).catch((error) => ({ isError: Boolean(error) }));
        return { failed: Boolean(result.isError) };
    },
    async progress(client, name, args) {
        const seen = [];
        const onprogress = ({ progress, total, message }) => seen.push([progress, total ?? null, message ?? null]);
        const result = await api.call(client, { name, arguments: args }, { onprogress });
        return { progress: seen, result };
    },
    async log(client, name, args) {
        const stateless = outcome.connect.revision >= '2026';
        if (!stateless) await client.setLoggingLevel('debug');
        const before = logs.length;
        const _meta = stateless ? { 'io.modelcontextprotocol/logLevel': 'debug' } : undefined;
        const result = await api.call(client, { name, arguments: args, _meta });
        await until(() => logs.length > before);
        return { logged: true, result };
    },
    async watch(client, uri, name, args) {
        const stateless = outcome.connect.revision >= '2026';
        const subscription = stateless ? await client.listen({ resourceSubscriptions: [uri] }) : await client.subscribeResource({ uri });
        await api.call(client, { name, arguments: args });
        // A server may acknowledge a subscription just before it is in force, also behind a bridge; one that toggles must
        // not be called twice.
        const again = (stateless || name.includes('trigger')) && setInterval(() => api.call(client, { name, arguments: args }).catch(() => {}), 200);
        await until(() => updates.includes(uri)).finally(() => clearInterval(again));
        if (stateless) await subscription.close();
        return { updated: uri };
    },
    async cancel(client, name, args) {
        const giveUp = new AbortController();
        setTimeout(() => giveUp.abort(), 500);
        return api.call(client, { name, arguments: args }, { signal: giveUp.signal }).then(
            () => 'it was not cancelled',
            () => ({ cancelled: true }),
        );
    },
};

async function note(name, work) {
    while (name in outcome) name += ' again';
    const late = new Promise((_, reject) => setTimeout(() => reject(new Error('no end')), PATIENCE + 5000).unref());
    outcome[name] = await Promise.race([work(), late]).catch(told);
}

const client = make();
try {
    await client.connect(transport());
    outcome.connect = {
        revision: client.getNegotiatedProtocolVersion?.() ?? null,
        server: client.getServerVersion(),
        capabilities: client.getServerCapabilities(),
        instructions: client.getInstructions() ?? null,
    };
    await note('list tools', () => client.listTools());
    await note('list resources', () => client.listResources());
    await note('list resource_templates', () => client.listResourceTemplates());
    await note('list prompts', () => client.listPrompts());
    for (const [verb, ...args] of task.steps) {
        await note(JSON.stringify([verb, ...args]), () => verbs[verb](client, ...filled(args)));
    }
    await client.close();
} catch (error) {
    outcome['broken off'] = told(error);
}
outcome.asked = asked.map((each) => JSON.stringify(each)).sort();
process.stdout.write(JSON.stringify(outcome) + '\n', () => process.exit(0));
