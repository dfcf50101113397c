// A real Chromium for the tests beside this file. It trusts our root and nothing else of ours, has an
// authenticator that is made of software, and everything that its pages complain about is kept.
import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { connect } from "node:tls";

const require = createRequire(new URL("../../target/node/", import.meta.url));
const { chromium } = require("playwright-core");

/** The issuer in the chain that is served at `origin`, once that was verified to end at our root. */
function issuer(root, origin) {
  const { hostname, port } = new URL(origin);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port, servername: hostname, ca: readFileSync(root) }, () => {
      resolve(new X509Certificate(socket.getPeerCertificate(true).issuerCertificate.raw));
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

/** Opens a browser that trusts the server at `origin`; `root` is the PEM file of its root. */
export async function open(root, origin) {
  // Chromium takes keys of a chain as it is served, which has no root in it.
  const key = (await issuer(root, origin)).publicKey.export({ type: "spki", format: "der" });
  const trusted = createHash("sha256").update(key).digest("base64");
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
      `--ignore-certificate-errors-spki-list=${trusted}`,
    ],
  });
  const context = await browser.newContext();
  const page = await context.newPage();
  const complaints = [];
  const ours = () => page.url().startsWith(`${origin}/`);
  page.on("console", (said) => {
    // Answers that refuse are what some tests are after, and browsers ask for an icon by themselves.
    const expected = /status of (401|403)/.test(said.text()) || said.location().url.endsWith("/favicon.ico");
    if (ours() && said.type() === "error" && !expected) complaints.push(said.text());
  });
  page.on("pageerror", (error) => ours() && complaints.push(String(error)));
  const devtools = await context.newCDPSession(page);
  await devtools.send("WebAuthn.enable");
  return { browser, context, page, complaints, devtools };
}

/** Gives the browser an authenticator that keeps passkeys; `options` change how it behaves. */
export async function authenticator(devtools, options = {}) {
  const { authenticatorId } = await devtools.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true,
      isUserVerified: true, automaticPresenceSimulation: true, ...options,
    },
  });
  return authenticatorId;
}
