// An identity provider for the tests beside this file: npm's oidc-provider with people of our own. It prints
// its issuer when it listens.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(new URL("../../target/node/", import.meta.url));
const { Provider } = await import(pathToFileURL(require.resolve("oidc-provider")));
const [port, secret, redirect] = process.argv.slice(2);
const people = {
  grace: { email: "Grace@example.com", email_verified: true, name: "Grace Hopper", groups: ["ops", "x/y"] },
  mallory: { email: "mallory@example.com", email_verified: true, groups: ["visitors"] },
  impostor: { email: "ada@example.com", email_verified: true, groups: ["ops"] },
};
const issuer = `http://localhost:${port}`;
const provider = new Provider(issuer, {
  clients: [{
    client_id: "perennial", client_secret: secret, redirect_uris: [redirect],
    response_types: ["code"], grant_types: ["authorization_code"],
  }],
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"], groups: ["groups"] },
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  findAccount: (_, id) => ({
    accountId: id,
    claims: async () => ({ sub: `subject-of-${id}`, ...people[id] }),
  }),
  cookies: { keys: ["only for tests"] },
});
createServer(provider.callback()).listen(Number(port), "127.0.0.1", () => console.log(`listening ${issuer}`));
