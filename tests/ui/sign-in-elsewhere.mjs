// People sign in at an identity provider; who is in no group that is let in, or is called as somebody else is,
// does not; and an answer is good once, and in the browser that asked.
import assert from "node:assert/strict";
import { open } from "./browser.mjs";

const [root, origin] = process.argv.slice(2);
const { browser, context, page, complaints } = await open(root, origin);

const session = async () => page.evaluate(async () => {
  const response = await fetch("/api/v1/session");
  return response.ok ? response.json() : null;
});

/** Signs in as `name` there; gives the URL by which the provider sent the browser back. */
async function signIn(name) {
  await context.clearCookies();
  await page.goto(`${origin}/sign-in`);
  let back = null;
  const watch = (request) => {
    if (request.url().includes("/callback?")) back = request.url();
  };
  page.on("request", watch);
  await page.click("text=corp");
  await page.fill("input[name=login]", name);
  await page.fill("input[name=password]", "any");
  await page.click("button[type=submit]");
  await page.waitForSelector("button[type=submit]");
  await page.click("button[type=submit]");
  await page.waitForURL((url) => url.origin === origin && !url.pathname.includes("callback"));
  page.off("request", watch);
  return back;
}

try {
  const back = await signIn("grace");
  assert.equal(page.url(), `${origin}/`);
  await page.goto(`${origin}/sign-in`);
  const grace = await session();
  assert.deepEqual(
    [grace.who, grace.display_name, grace.way, grace.roles, grace.groups],
    ["person/grace@example.com", "Grace Hopper", "corp", ["operator"], ["ops"]],
  );
  // The provider is on the same host, where cookies know no ports.
  const ours = (await context.cookies(origin)).filter(({ name }) => name.startsWith("__Host-perennial-"));
  assert.deepEqual(ours.map(({ name }) => name), ["__Host-perennial-session"], "the ticket is gone");

  // The same answer again, in the browser that asked and in another.
  for (const fresh of [false, true]) {
    if (fresh) await context.clearCookies();
    await page.goto(back);
    assert.equal(page.url(), `${origin}/sign-in?failed=stale`);
  }
  assert.equal(await session(), null);

  // An answer to somebody else's question: this browser has a ticket of its own.
  await page.goto(`${origin}/sign-in`);
  await Promise.all([page.waitForURL(/interaction/), page.click("text=corp")]);
  await page.goto(back);
  assert.equal(page.url(), `${origin}/sign-in?failed=stale`);

  await signIn("mallory");
  assert.equal(page.url(), `${origin}/sign-in?failed=refused`);
  assert.match(await page.textContent("#say"), /no group/);
  assert.equal(await session(), null);

  await signIn("impostor");
  assert.equal(page.url(), `${origin}/sign-in?failed=taken`);
  assert.equal(await session(), null);

  assert.deepEqual(complaints, []);
  console.log("ok");
} finally {
  await browser.close();
}
