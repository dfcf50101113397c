// Verifies tokens with jose or with jwks-rsa and jsonwebtoken: `node verify.mjs LIBRARY SECONDS`, where
// SECONDS is how long a set, or a key, is cached. Each line that is read is a question, as JSON; each
// line that is written is its number and `ok`, or why not.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [library, seconds] = process.argv.slice(2);
const cache = Number(seconds) * 1000;
const require = createRequire(`${process.env.NODE_MODULES}/`);

const verifiers = { jose, "jwks-rsa": jwksRsa };
const sets = new Map();
const verifier = await verifiers[library]();

createInterface({ input: process.stdin }).on("line", async (line) => {
  const question = JSON.parse(line);
  try {
    if (!sets.has(question.url)) sets.set(question.url, verifier.open(question.url));
    await verifier.verify(sets.get(question.url), question);
    process.stdout.write(`${question.number} ok\n`);
  } catch (error) {
    process.stdout.write(`${question.number} ${error.name}: ${error.message}`.replaceAll("\n", " ") + "\n");
  }
});

async function jose() {
  const { createRemoteJWKSet, jwtVerify } = require("jose");
  return {
    open: (url) => createRemoteJWKSet(new URL(url), { cacheMaxAge: cache, cooldownDuration: cache }),
    verify: (set, { token, algorithm, issuer, audience }) =>
      jwtVerify(token, set, { algorithms: [algorithm], issuer, audience }),
  };
}

async function jwksRsa() {
  const jwksClient = require("jwks-rsa");
  const { verify } = require("jsonwebtoken");
  return {
    open: (jwksUri) => jwksClient({ jwksUri, cacheMaxAge: cache }),
    verify: (client, { token, algorithm, issuer, audience }) =>
      new Promise((resolve, reject) => {
        const key = ({ kid }, done) =>
          client.getSigningKey(kid).then((key) => done(null, key.getPublicKey()), done);
        const options = { algorithms: [algorithm], issuer, audience };
        verify(token, key, options, (error, claims) => (error ? reject(error) : resolve(claims)));
      }),
  };
}
