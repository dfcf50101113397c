// Hands the secret in the link's fragment to the server, which no log and no other page gets to see.
"use strict";
const secret = location.hash.slice(1);
// Neither the history nor whoever looks over a shoulder is to keep it.
history.replaceState(null, "", location.pathname);
const say = document.getElementById("say");
const button = document.getElementById("enter");

async function enter() {
  button.disabled = true;
  say.textContent = "One moment …";
  const response = await fetch("/enter", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ secret }),
  });
  if (response.ok) {
    location.replace("/");
    return;
  }
  const problem = await response.json().catch(() => ({}));
  say.textContent = problem.detail || "The server does not answer as it should.";
}

if (secret) {
  button.addEventListener("click", () => enter().catch(() => {
    button.disabled = false;
    say.textContent = "The server does not answer; try again.";
  }));
} else {
  button.hidden = true;
  say.textContent = "To enter, open the link that you were given, whole.";
}
