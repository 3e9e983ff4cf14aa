// The official TypeScript client, which shows a key, calls a tool until it is answered, and says where it is sent meanwhile.
import path from "node:path";
import { pathToFileURL } from "node:url";

const [tools, url, key, mode] = process.argv.slice(2);
const library = pathToFileURL(path.join(tools, "npm/node_modules/@modelcontextprotocol/client/dist/index.mjs"));
const { Client, StreamableHTTPClientTransport } = await import(library);

const asked = ({ mode, url }) => console.log(`asked ${mode} ${url}`);
const options = { capabilities: { elicitation: { url: {} } }, versionNegotiation: { mode: mode === "legacy" ? mode : { pin: mode } } };
const client = new Client({ name: "suite", version: "1" }, options);
client.setRequestHandler("elicitation/create", async ({ params }) => {
  asked(params);
  return { action: "accept" };
});
await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: { Authorization: `Bearer ${key}` } } }));
for (let count = 0; count < 100; count += 1) {
  try {
    const answer = await client.callTool({ name: "bank__pay", arguments: { amount: 900 } });
    console.log(answer.content[0].text);
    break;
  } catch (error) {
    if (error.code !== -32042) throw error;
    error.data.elicitations.forEach(asked);
    await new Promise((wake) => setTimeout(wake, 300));
  }
}
await client.close();
