// Chromium on the way to a client in the web: node returning.mjs TOOLS ASKING NAME PASSWORD
import assert from "node:assert/strict";
import { inChromium, watchPolicy } from "../signin/chromium.mjs";

const [tools, asking, name, password] = process.argv.slice(2);
const refused = [];

await inChromium(tools, async (context) => {
  let page;
  // Each from a page of its own, since there is nobody at the client's address who could answer.
  const begin = async () => {
    page = await context.newPage();
    page.setDefaultTimeout(30000);
    watchPolicy(page, refused);
  };
  const arrives = async (after) => {
    const arrived = page.waitForRequest(/^https:\/\/app\.example\/cb\?.*code=/);
    await Promise.all([arrived, after()]).catch((error) => {
      throw new Error(`${error.message}\nat ${page.url()}\nrefused: ${refused.join("\n")}`);
    });
    await page.close();
  };
  const signIn = async () => {
    await page.fill("#name", name);
    await page.fill("#password", password);
    await page.click("button[type=submit]", { noWaitAfter: true });
  };

  await begin();
  await page.goto(asking);
  await signIn();
  await page.waitForSelector("text=Let it in");
  await arrives(() => page.click("text=Let it in", { noWaitAfter: true }));
  console.log("whoever agrees arrives at the client");

  await begin();
  await arrives(() => page.goto(asking).catch(() => {}));
  console.log("whoever has agreed before, and is signed in, arrives there at once");

  await context.clearCookies();
  await begin();
  await page.goto(asking);
  await arrives(signIn);
  console.log("whoever has agreed before arrives there by signing in");
  assert.deepEqual(refused, []);
});
