// Signs in with a passkey.
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
