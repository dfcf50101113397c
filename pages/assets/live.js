// What the pages do where scripts run: light and dark, actions as dialogs, and parts of a page that bring
// themselves up to date when the server says that something of their kind changed. Every page works without.
"use strict";

const main = document.getElementById("main");
const state = document.getElementById("live-state");

// --- light and dark ---

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

const theme = document.getElementById("theme");
if (theme) {
  const name = () => {
    theme.textContent = isDark() ? "Light" : "Dark";
  };
  name();
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const next = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem("theme", next);
    } catch {
      // Then it holds for this page.
    }
    name();
  });
}

// --- pages that were fetched ---

async function fetched(url) {
  const answer = await fetch(url, { credentials: "same-origin", headers: { accept: "text/html" } });
  if (!(answer.headers.get("content-type") || "").startsWith("text/html")) {
    throw new Error("not a page");
  }
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

// --- actions as dialogs ---

const dialog = document.getElementById("dialog");

document.addEventListener("click", async (event) => {
  const close = event.target.closest("[data-close]");
  if (close && dialog.open) {
    event.preventDefault();
    dialog.close();
    return;
  }
  const link = event.target.closest("a[data-dialog]");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) {
    return;
  }
  event.preventDefault();
  try {
    const page = await fetched(link.href);
    const form = page.querySelector("[data-confirm]");
    if (!form) {
      throw new Error("no form");
    }
    dialog.replaceChildren(document.importNode(form, true));
    dialog.setAttribute("aria-labelledby", "confirm-title");
    dialog.removeAttribute("aria-label");
    dialog.showModal();
    dialog.addEventListener("close", () => link.focus(), { once: true });
  } catch {
    location.href = link.href;
  }
});

// --- up to date ---

const kinds = (main && main.dataset.live ? main.dataset.live.split(" ") : []).filter(Boolean);
let waiting = false;
let stale = false;

async function refresh() {
  waiting = false;
  if (document.hidden || (dialog && dialog.open)) {
    stale = true;
    return;
  }
  stale = false;
  let page;
  try {
    page = await fetched(location.href);
  } catch {
    state.textContent = "Not up to date: the server does not answer.";
    return;
  }
  for (const part of document.querySelectorAll("[data-part]")) {
    const next = part.id && page.getElementById(part.id);
    if (!next || part.isEqualNode(next) || part.contains(document.activeElement)) {
      continue;
    }
    part.replaceWith(document.importNode(next, true));
  }
  const head = document.querySelector("header.head");
  const nextHead = page.querySelector("header.head");
  if (head && nextHead && !head.isEqualNode(nextHead) && !head.contains(document.activeElement)) {
    head.replaceWith(document.importNode(nextHead, true));
  }
  state.textContent = "Brought up to date at " + new Date().toISOString().slice(11, 19) + " UTC.";
}

function later() {
  if (!waiting) {
    waiting = true;
    setTimeout(refresh, 400);
  }
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && stale) {
    later();
  }
});
if (dialog) {
  dialog.addEventListener("close", () => {
    if (stale) {
      later();
    }
  });
}

if (kinds.length > 0) {
  const source = new EventSource("/ui/events");
  let lost = false;
  source.addEventListener("changed", (event) => {
    const changed = event.data.split(" ");
    if (changed.some((kind) => kind === "all" || kinds.includes(kind))) {
      later();
    }
  });
  source.addEventListener("error", () => {
    lost = true;
  });
  source.addEventListener("open", () => {
    if (lost) {
      lost = false;
      later();
    }
  });
}
