// Hands the secret in the link's fragment to the server, which no log and no other page gets to see, and
// then has a passkey made.
import { register, send } from "/ui/passkeys.js";

const secret = location.hash.slice(1);
// Neither the history nor whoever looks over a shoulder is to keep it.
history.replaceState(null, "", location.pathname);
const say = document.getElementById("say");
const button = document.getElementById("enter");
const make = document.getElementById("make");
const on = document.getElementById("on");

function step(of, then) {
  of.addEventListener("click", async () => {
    of.disabled = true;
    try {
      await then();
    } catch (error) {
      say.textContent = error.message;
      of.disabled = false;
    }
  });
}

let csrf = null;
step(button, async () => {
  const entered = await send("/enter", { secret });
  csrf = entered.csrf_token;
  button.hidden = true;
  on.hidden = false;
  if (window.PublicKeyCredential) {
    say.textContent = `Welcome, ${entered.display_name}. Make a passkey now, and you can sign in with it from now on. Without one you are signed out in an hour.`;
    make.hidden = false;
    make.focus();
  } else {
    say.textContent = `Welcome, ${entered.display_name}. This browser knows no passkeys: you are signed out in an hour.`;
    on.focus();
  }
});
step(make, async () => {
  await register(navigator.platform || "passkey", csrf);
  location.replace("/");
});

if (!secret) {
  button.hidden = true;
  say.textContent = "To enter, open the link that you were given, whole.";
}
