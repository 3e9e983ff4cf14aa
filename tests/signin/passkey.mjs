// Chromium with a virtual authenticator, on the gateway's own pages: node passkey.mjs TOOLS PUBLIC NAME PASSWORD
import assert from "node:assert/strict";
import { inChromium, watchPolicy } from "./chromium.mjs";

const [tools, base, name, password] = process.argv.slice(2);
const refused = [];
const step = (text) => console.log(text);

await inChromium(tools, async (context) => {
  const page = context.pages()[0];
  watchPolicy(page, refused);
  const devtools = await context.newCDPSession(page);
  await devtools.send("WebAuthn.enable");
  const options = { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true,
    isUserVerified: true, automaticPresenceSimulation: true };
  const { authenticatorId } = await devtools.send("WebAuthn.addVirtualAuthenticator", { options });
  const verified = (isUserVerified) => devtools.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified });
  const on = (path) => page.waitForURL(`${base}${path}`);
  const withPassword = async () => {
    await page.fill("#name", name);
    await page.fill("#password", password);
    await page.click("button[type=submit]");
  };
  const problem = async () => {
    await page.waitForSelector("#passkey-problem:not([hidden])");
    return page.textContent("#passkey-problem");
  };
  const signOut = async () => {
    await page.goto(`${base}/bartizan/account`);
    await page.click("text=Sign out");
    await on("/bartizan/sign-in");
  };

  await page.goto(`${base}/bartizan/sign-in`);
  await withPassword();
  await on("/bartizan/account");
  await verified(false);
  await page.click("#passkey");
  await problem();
  await verified(true);
  step("a passkey of a device that does not verify who holds it is not taken");

  await page.fill("#label", "<b>telephone</b>");
  await page.click("#passkey");
  await page.waitForSelector("text=Remove");
  assert.match(await page.textContent("main"), /<b>telephone<\/b>, since \d{4}-\d\d-\d\d/);
  assert.equal(await page.isVisible("details button"), false, "nobody removes it by one click");
  await page.click("summary");
  assert.equal(await page.isVisible("details button"), true);
  const { credentials } = await devtools.send("WebAuthn.getCredentials", { authenticatorId });
  assert.equal(credentials.length, 1);
  assert.equal(credentials[0].rpId, "localhost");
  step("a passkey is added, for this host");

  await page.click("#passkey");
  await problem();
  step("the same authenticator has no second one");

  await signOut();
  await withPassword();
  await page.waitForSelector("text=That is not right");
  step("a password alone is not enough any more");

  await page.goto(`${base}/bartizan/sign-in?return_to=%2Fbartizan%2Faccount%3Fx`);
  const before = await context.cookies();
  const sent = page.waitForRequest((request) => request.url().endsWith("/bartizan/passkey/sign-in"));
  await page.click("#passkey");
  const request = await sent;
  await on("/bartizan/account?x");
  step("the passkey signs in, and leads back");

  await page.goto(`${base}/bartizan/step-up?return_to=%2Fbartizan%2Faccount%3Fy`);
  await page.click("#passkey");
  await on("/bartizan/account?y");
  step("and is shown once more where that is asked for");

  const again = async () => page.evaluate(async (body) => {
    const headers = { "Content-Type": "application/x-www-form-urlencoded" };
    return (await fetch("/bartizan/passkey/sign-in", { method: "POST", body, headers })).status;
  }, request.postData());
  await signOut();
  assert.equal(await again(), 403);
  await context.clearCookies();
  await context.addCookies(before);
  assert.equal(await again(), 403);
  await page.goto(`${base}/bartizan/account`);
  assert.match(page.url(), /sign-in/);
  step("what was signed is good once, in the same browser too");

  await context.clearCookies();
  await page.goto(`${base}/bartizan/sign-in`);
  await verified(false);
  await page.click("#passkey");
  await problem();
  await verified(true);
  await page.click("#passkey");
  await on("/bartizan/account");
  step("a device that does not verify who holds it signs nobody in, and does once it has");

  await signOut();
  const { credentials: [held] } = await devtools.send("WebAuthn.getCredentials", { authenticatorId });
  assert.ok(held.signCount > 1);
  await devtools.send("WebAuthn.clearCredentials", { authenticatorId });
  await devtools.send("WebAuthn.addCredential", { authenticatorId, credential: { ...held, signCount: 0 } });
  await page.click("#passkey");
  assert.match(await problem(), /not good here/);
  step("a copy that counts from the beginning is refused");

  assert.deepEqual(refused, []);
  step("and nothing on the pages was refused by their own policy");
});
