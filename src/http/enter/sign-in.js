// Signs in with a passkey, or leads to an identity provider.
import { destination, show } from "/ui/passkeys.js";

const say = document.getElementById("say");
const button = document.getElementById("passkey");
button.addEventListener("click", async () => {
  button.disabled = true;
  try {
    await show();
    location.replace(destination());
  } catch (error) {
    say.textContent = error.message;
    button.disabled = false;
  }
});

const failures = {
  stale: "That took too long or was tried before; sign in again.",
  refused: "You belong to no group that may come in here; ask an admin.",
  taken: "Somebody is called as you are already; ask an admin.",
  provider: "The identity provider did not sign you in; the server's log says why.",
};
const failed = failures[new URLSearchParams(location.search).get("failed")];
if (failed) say.textContent = failed;

const { items } = await (await fetch("/sign-in/providers")).json();
for (const name of items) {
  const link = document.createElement("a");
  link.className = "button quiet";
  link.href = `/sign-in/${encodeURIComponent(name)}`;
  link.textContent = `Sign in with ${name}`;
  const line = document.createElement("p");
  line.append(link);
  document.getElementById("providers").append(line);
}
