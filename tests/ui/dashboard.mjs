// The dashboard in a real Chromium: every page in light and dark and on a phone, actions with and without
// permission, by keyboard alone, without scripts, and brought up to date by itself.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.NODE_MODULES}/`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const [admins, viewers] = process.argv.slice(2);
const origin = new URL(admins).origin;
const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});
const complaints = [];
const elsewhere = [];

/** Windows of whoever a link lets in, each with its own settings. */
async function enter(link) {
  const first = await browser.newContext({ ignoreHTTPSErrors: true });
  const secret = new URL(link).hash.slice(1);
  const entered = await first.request.post(`${origin}/enter`, { data: { secret }, headers: { origin } });
  assert.equal(entered.status(), 200, await entered.text());
  const storageState = await first.storageState();
  return (options) => browser.newContext({ ignoreHTTPSErrors: true, storageState, ...options });
}

/** A page whose complaints are kept, but for answers that refuse. */
async function open(context) {
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on("console", (said) => {
    if (said.type() === "error" && !/status of (401|403)/.test(said.text())) complaints.push(said.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(origin)) elsewhere.push(request.url());
  });
  return page;
}

async function violations(page) {
  await page.evaluate(axe);
  return page.evaluate(async () => {
    const { violations } = await window.axe.run();
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).slice(0, 3).join(" ")}`);
  });
}

const admin = await enter(admins);
const viewer = await enter(viewers);
const pages = [
  "/", "/certificates", "/certificates/node", "/issued", "/keysets", "/keysets/auth", "/authorities",
  "/authorities/root", "/targets", "/found", "/endpoints", "/audit", "/audit/1", "/access",
  "/certificates/node/renew", "/certificates/node/emergency", "/keysets/auth/rotate",
];

try {
  // --- every page, in every light, at every width ---
  for (const [colorScheme, width] of [["light", 1280], ["dark", 1280], ["light", 360], ["dark", 360]]) {
    const context = await admin({ colorScheme, viewport: { width, height: 800 } });
    const page = await open(context);
    for (const path of pages) {
      const answer = await page.goto(origin + path);
      assert.equal(answer.status(), 200, path);
      assert.deepEqual(await violations(page), [], `${path} ${colorScheme} ${width}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= width, `${path} is ${wide} wide in a window of ${width}`);
    }
    await context.close();
  }

  // --- by keyboard alone ---
  const context = await admin({});
  const page = await open(context);
  await page.goto(`${origin}/certificates/node`);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  const focused = () => page.evaluate(() => document.activeElement.textContent.trim());
  assert.equal(await focused(), "Renew");
  await page.keyboard.press("Enter");
  await page.waitForSelector("dialog[open] form[data-confirm]");
  assert.match(await page.textContent("dialog"), /is obtained from/, "it says what will happen");
  assert.deepEqual(await violations(page), []);
  await page.keyboard.press("Escape");
  await page.waitForSelector("dialog:not([open])", { state: "attached" });
  assert.equal(await focused(), "Renew", "one is back where one was");
  await page.keyboard.press("Enter");
  await page.waitForSelector("dialog[open] form[data-confirm]");
  while (!(await page.evaluate(() => document.activeElement.matches("dialog button[type=submit]")))) {
    await page.keyboard.press("Tab");
  }
  await page.keyboard.press("Enter");
  await page.waitForURL(/done=renew/);
  assert.match(await page.textContent(".note"), /renewal has begun/);

  // --- up to date by itself ---
  const versions = () => page.locator("#versions tbody tr").count();
  await page.waitForFunction(() => document.querySelectorAll("#versions tbody tr").length >= 2);
  const before = await versions();
  const other = await open(await admin({ javaScriptEnabled: false }));
  await other.goto(`${origin}/certificates/node`);
  await other.click("text=Renew >> nth=0");
  await other.click("main button[type=submit]");
  assert.match(other.url(), /done=renew/, "it works without scripts");
  await page.waitForFunction((n) => document.querySelectorAll("#versions tbody tr").length > n, before);

  // --- light and dark by hand ---
  await page.click("#theme");
  const chosen = await page.evaluate(() => document.documentElement.dataset.theme);
  await page.goto(`${origin}/`);
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), chosen, "it is kept");

  // --- who may not ---
  const looker = await open(await viewer({}));
  await looker.goto(`${origin}/certificates/node`);
  assert.equal(await looker.locator(".head .button").count(), 0, "no button");
  assert.equal(await looker.locator("nav a[href='/audit']").count(), 0);
  for (const path of ["/certificates/node/renew", "/audit", "/access", "/keysets/auth/emergency"]) {
    assert.equal((await looker.goto(origin + path)).status(), 403, path);
    assert.deepEqual(await violations(looker), [], path);
  }
  const forged = await looker.context().request.post(`${origin}/certificates/node/renew`, {
    form: { csrf: "guessed" }, headers: { origin },
  });
  assert.ok([401, 403].includes(forged.status()), `a form without the session's token: ${forged.status()}`);

  // --- who is not signed in, and who signs out ---
  const stranger = await open(await browser.newContext({ ignoreHTTPSErrors: true }));
  assert.equal((await stranger.goto(`${origin}/certificates`)).status(), 401);
  await stranger.goto(`${origin}/`);
  assert.deepEqual(await violations(stranger), []);
  await looker.goto(`${origin}/`);
  await looker.click("text=Sign out");
  await looker.waitForSelector("body.plain");
  assert.equal((await looker.goto(`${origin}/certificates`)).status(), 401);

  assert.deepEqual(complaints, []);
  assert.deepEqual(elsewhere, [], "nothing is asked of others");
  console.log("ok");
} finally {
  await browser.close();
}
