// People come in by a link, make a passkey, sign in with it and step up; other pages cannot.
import assert from "node:assert/strict";
import { authenticator, open } from "./browser.mjs";

const [root, link, elsewhere] = process.argv.slice(2);
const origin = new URL(link).origin;
const { browser, context, page, complaints, devtools } = await open(root, origin);

async function session() {
  const response = await context.request.get(`${origin}/api/v1/session`, { ignoreHTTPSErrors: true });
  return response.ok() ? response.json() : null;
}

async function says(text) {
  await page.waitForFunction((text) => document.getElementById("say").textContent.includes(text), text);
}

try {
  const id = await authenticator(devtools);
  await page.goto(link);
  assert.equal(await page.evaluate(() => location.hash), "", "the secret does not stay in sight");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await says("Make a passkey now");
  const before = await context.cookies();
  assert.equal(before.length, 1);
  const [{ name, httpOnly, secure, sameSite, path }] = before;
  assert.deepEqual([name, httpOnly, secure, sameSite, path], ["__Host-perennial-session", true, true, "Lax", "/"]);
  await page.click("#make");
  await page.waitForURL(`${origin}/`);
  const [{ value }] = await context.cookies();
  assert.notEqual(value, before[0].value, "a session that was proven is another one");
  assert.equal((await session()).who, "person/ada");

  // Another page of the same machine cannot make the browser act here.
  const other = await context.newPage();
  await other.goto(`${elsewhere}/sign-in`);
  for (const type of ["text/plain", "application/json"]) {
    await other.evaluate(async ([url, type]) => {
      const body = JSON.stringify({ name: "stolen", scope: ["role/admin"] });
      const headers = { "content-type": type };
      await fetch(url, { method: "POST", credentials: "include", mode: "no-cors", body, headers }).catch(() => {});
    }, [`${origin}/api/v1/tokens`, type]);
  }
  const read = await other.evaluate(async (url) => {
    try {
      return await (await fetch(url, { credentials: "include" })).text();
    } catch {
      return null;
    }
  }, `${origin}/api/v1/session`);
  assert.equal(read, null, "nor read what a session says");
  await other.close();

  await context.clearCookies();
  assert.equal(await session(), null);
  await page.goto(link);
  await page.click("#enter");
  await says("the link is not good");

  for (const to of ["//evil.example/x", "https://evil.example/", "javascript:alert(1)"]) {
    await page.goto(`${origin}/sign-in?to=${encodeURIComponent(to)}`);
    await page.click("#passkey");
    await page.waitForURL(`${origin}/`);
    await context.clearCookies();
  }
  await page.goto(`${origin}/sign-in?to=/enter?x`);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.waitForURL(`${origin}/enter?x`);
  const entered = await session();
  assert.deepEqual([entered.who, entered.way], ["person/ada", "passkey"]);

  await page.goto(`${origin}/sign-in`);
  const stepped = await page.evaluate(async () => {
    const { show } = await import("/ui/passkeys.js");
    const { csrf_token: csrf } = await (await fetch("/api/v1/session")).json();
    return [csrf, await show(csrf)];
  });
  assert.equal(stepped[1].name, "ada");
  assert.notEqual(stepped[0], stepped[1].csrf_token);
  assert.notEqual(await session(), null);

  // An authenticator that does not know who touches it is not enough.
  await context.clearCookies();
  await devtools.send("WebAuthn.setUserVerified", { authenticatorId: id, isUserVerified: false });
  await page.goto(`${origin}/sign-in`);
  await page.click("#passkey");
  await page.waitForFunction(() => document.getElementById("say").textContent !== "Sign in to go on.");
  assert.equal(await session(), null);

  assert.deepEqual(complaints, []);
  console.log("ok");
} finally {
  await browser.close();
}
