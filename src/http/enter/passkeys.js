// Passkeys in the browser: what the server asks for is handed to the authenticator, and what it gives is
// handed back. Other pages of the server import this.
const bytes = (text) => {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (c) => c.charCodeAt(0));
};
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const described = (list) => (list || []).map((item) => ({ ...item, id: bytes(item.id) }));

/** Sends `body` to `path`; gives the answer, or throws with what the server says. */
export async function send(path, body = {}, csrf = null) {
  const headers = { "content-type": "application/json" };
  if (csrf) headers["x-csrf-token"] = csrf;
  const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.detail || "The server does not answer as it should.");
  return answer;
}

/** Makes a passkey that is called `name`; gives the new session, with its csrf_token. */
export async function register(name, csrf) {
  const options = await send("/api/v1/session/passkeys/options", {}, csrf);
  options.challenge = bytes(options.challenge);
  options.user.id = bytes(options.user.id);
  options.excludeCredentials = described(options.excludeCredentials);
  const made = await navigator.credentials.create({ publicKey: options });
  return send("/api/v1/session/passkeys", {
    name,
    client_data: text(made.response.clientDataJSON),
    attestation: text(made.response.attestationObject),
  }, csrf);
}

/** Shows a passkey: in a session to step up, without one (no csrf) to sign in. Gives the new session. */
export async function show(csrf = null) {
  const path = csrf ? "/api/v1/session/step-up" : "/sign-in";
  const options = await send(`${path}/options`, {}, csrf);
  options.challenge = bytes(options.challenge);
  options.allowCredentials = described(options.allowCredentials);
  const { id, response } = await navigator.credentials.get({ publicKey: options });
  return send(path, {
    id,
    client_data: text(response.clientDataJSON),
    authenticator_data: text(response.authenticatorData),
    signature: text(response.signature),
    user: response.userHandle ? text(response.userHandle) : null,
  }, csrf);
}

/** Where to go once signed in: what `?to=` says, if it is a page of this server. */
export function destination() {
  const to = new URLSearchParams(location.search).get("to") || "/";
  try {
    const url = new URL(to, location.origin);
    return url.origin === location.origin ? url.pathname + url.search : "/";
  } catch {
    return "/";
  }
}
