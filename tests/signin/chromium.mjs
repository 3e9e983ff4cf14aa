// A Chromium with a profile of its own, which is gone afterwards.
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Does `work` with the browser. `tools` is the folder that tests/tools/setup.sh prints. */
export async function inChromium(tools, work) {
  const { chromium } = createRequire(join(tools, "npm/"))("playwright-core");
  const profile = mkdtempSync(join(tmpdir(), "bartizan-chromium-"));
  try {
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: "/usr/bin/chromium",
      headless: true,
      args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync"],
    });
    try {
      await work(context);
    } finally {
      await context.close();
    }
  } finally {
    rmSync(profile, { recursive: true, force: true });
  }
}

/** Keeps in `refused` what the policy of a page does not let it do. */
export function watchPolicy(page, refused) {
  page.on("console", (message) => /Content Security Policy/.test(message.text()) && refused.push(message.text()));
}
