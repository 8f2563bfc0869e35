// Keeps the page fresh and carries out its buttons. All text from sessions is put in as text, never as markup.
"use strict";
const app = document.getElementById("app"), { base, api, xsrf } = app.dataset;
const cards = document.getElementById("cards"), questions = document.getElementById("questions");

async function call(method, url, body) {
  const headers = { "X-XSRFToken": xsrf, "Content-Type": "application/json" };
  const answer = await fetch(url, { method, headers, body: method === "GET" || method === "DELETE" ? undefined : JSON.stringify(body ?? {}) });
  if (answer.status === 204) return {};
  const found = await answer.json();
  if (!answer.ok) throw new Error(`${found.error?.message ?? answer.statusText} ${found.error?.next ?? ""}`);
  return found;
}

let hiding;
function toast(text) {
  const place = document.getElementById("toast");
  place.textContent = text;
  place.classList.add("shown");
  clearTimeout(hiding);
  hiding = setTimeout(() => place.classList.remove("shown"), 6000);
}

// Buttons: [label, value, class]; the first has the focus, and Escape means "".
function ask(title, text, buttons) {
  const dialog = document.getElementById("dialog");
  document.getElementById("dialog-title").textContent = title;
  document.getElementById("dialog-text").textContent = text;
  document.getElementById("dialog-buttons").replaceChildren(...buttons.map(([label, value, kind]) => {
    const button = document.createElement("button");
    button.value = value; button.textContent = label; button.className = kind ?? "";
    return button;
  }));
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener("close", () => done(dialog.returnValue), { once: true }));
}

const actions = {
  stop: async (id, url) => {
    const cost = "Notebook and files stay. Variables go; they can be brought back by running its cells again.";
    if (await ask(`Stop ${id}?`, cost, [["Keep it", ""], ["Stop", "yes", "primary"]]) !== "yes") return;
    await call("POST", `${url}/stop`);
    toast(`${id} is stopped.`);
  },
  resume: async (id, url) => {
    const cost = await call("GET", `${url}/resume`);
    let replay = "files";
    if (cost.cells) {
      const network = cost.network.length ? ` It used the network in cell ${cost.network.join(", ")}.` : "";
      const text = `To have its variables back, ${cost.cells} cell${cost.cells === 1 ? "" : "s"} run again; that took ${cost.seconds.toFixed(1)} s.${network} Its files are there either way.`;
      replay = await ask(`Resume ${id}`, text, [["Cancel", ""], ["Files only", "files"], ["Bring variables back", "yes", "primary"]]);
      if (!replay) return;
    }
    toast(`Resuming ${id} …`);
    const found = await call("POST", `${url}/resume`, { replay });
    const missing = found.replay?.names_missing ?? [];
    toast(missing.length ? `${id} runs again, without: ${missing.join(", ")}` : `${id} runs again.`);
  },
  cut: async (id, url) => { await call("POST", `${url}/cut`); toast(`${id} is cut off: nothing passes.`); },
  uncut: async (id, url) => { await call("POST", `${url}/cut`, { undo: true }); toast(`${id} has its network again.`); },
  delete: async (id, url) => {
    const text = "Notebook, files and record go for good.";
    if (await ask(`Delete ${id}?`, text, [["Keep it", ""], ["Delete", "yes", "danger"]]) !== "yes") return;
    await call("DELETE", url);
    toast(`${id} is deleted.`);
  },
};

cards.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-do]");
  if (!button) return;
  const { id, api: url } = button.closest(".card").dataset;
  button.closest("details")?.removeAttribute("open");
  button.disabled = true;
  try {
    await actions[button.dataset.do](id, url);
    await refresh();
  } catch (error) {
    toast(error.message);
  } finally {
    button.disabled = false;
  }
});

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll(".menu[open]")) if (!menu.contains(event.target)) menu.removeAttribute("open");
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    const menu = document.querySelector(".menu[open]");
    menu?.removeAttribute("open");
    menu?.querySelector("summary").focus();
  } else if (event.key === "/" && !/INPUT|TEXTAREA/.test(document.activeElement.tagName)) {
    event.preventDefault();
    document.getElementById("filter").focus();
  }
});

function filter() {
  const words = document.getElementById("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  const all = cards.querySelectorAll(".card");
  for (const card of all) {
    card.hidden = !words.every((word) => card.dataset.find.includes(word));
    shown += !card.hidden;
  }
  document.getElementById("nothing").hidden = !all.length || shown > 0;
}
document.getElementById("filter").addEventListener("input", filter);

// Only cards that changed are replaced, so that focus and open menus stay.
async function refresh() {
  const answer = await fetch(`${base}/cards`);
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const nodes = [...fresh.body.querySelectorAll(":scope > .card, :scope > .empty")].map((node) => {
    const old = node.id && document.getElementById(node.id);
    if (!old) return document.adoptNode(node);
    if (old.querySelector(".menu[open]") || old.contains(document.activeElement) && same(old, node)) return old;
    return same(old, node) ? old : document.adoptNode(node);
  });
  const before = [...cards.children];
  if (nodes.length !== before.length || nodes.some((node, i) => node !== before[i])) cards.replaceChildren(...nodes);
  document.getElementById("summary").textContent = fresh.getElementById("fresh").dataset.summary;
  filter();
}
const same = (a, b) => {
  const plain = (node) => { const copy = node.cloneNode(true); copy.hidden = false; return copy.outerHTML; };
  return plain(a) === plain(b);
};

function settle(key) { document.getElementById(key)?.remove(); }
function question(found) {
  const key = `q-${found.session}-${found.question}`;
  if (document.getElementById(key)) return;
  const box = document.createElement("div"), text = document.createElement("p"), more = document.createElement("small"), buttons = document.createElement("div");
  box.id = key; box.className = "question"; box.setAttribute("role", "alertdialog");
  text.textContent = `${found.session} wants to reach ${found.host}`;
  const request = found.as === "tunnel" ? "any bytes, which cannot be seen" : `${found.method} ${String(found.path).slice(0, 200)}`;
  more.textContent = `as ${found.as}: ${request}. No answer within ${Math.round(found.seconds)} s means no.`;
  text.append(more);
  for (const [label, allow, kind] of [["Deny", false, "primary"], ["Allow for this session", true, ""]]) {
    const button = document.createElement("button");
    button.textContent = label; button.className = kind;
    button.addEventListener("click", async () => {
      try { await call("POST", `${api}/sessions/${found.session}/questions/${found.question}`, { allow }); } catch (error) { toast(error.message); }
      settle(key);
    });
    buttons.append(button);
  }
  box.append(text, buttons);
  questions.append(box);
  buttons.firstChild.focus();
}

const events = new EventSource(`${base}/events`);
events.addEventListener("changed", refresh);
events.addEventListener("question", (event) => question(JSON.parse(event.data)));
events.addEventListener("settled", (event) => { const found = JSON.parse(event.data); settle(`q-${found.session}-${found.question}`); });
