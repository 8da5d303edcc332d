"use strict";
// Steps through the run: what is later than the current event is dimmed, what is known of that
// event stands beside the figure. #step=7 in the address opens at event 7.

const run = JSON.parse(document.getElementById("run").textContent);
const last = run.rows.length - 1;
const element = (id) => document.getElementById(id);
const all = (selector) => [...document.querySelectorAll(selector)];
const number = (text) => (text === "" || text === undefined ? null : Number(text));

const events = all(".event, .row, .jump-mark, .life");
const messages = all(".message");
const waits = all(".wait");

let step = null; // null: the whole run
let past = false; // whether the causal past is marked

// Vector time tells what came before what: a server's number in the vector of an event says how
// many of that server's events came before it.
function cameBefore(one, other) {
  const { server, vector } = run.rows[one];
  return one !== other && vector[server] <= run.rows[other].vector[server];
}

function make(name, text, className) {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

// What each server shows after some rows: key -> { value, version }.
function storesAt(end) {
  const stores = run.servers.map(() => new Map());
  for (const { server, change } of run.rows.slice(0, end + 1)) {
    if (change === null) continue;
    if (change.key === undefined) stores[server].clear();
    else if (change.won) stores[server].set(change.key, change);
  }
  return stores;
}

function showStores() {
  const end = step ?? last;
  const stores = storesAt(end);
  const keys = [...new Set(stores.flatMap((store) => [...store.keys()]))].sort();
  const { server, change } = run.rows[end];
  const head = make("tr");
  head.append(make("th", "key"), ...run.servers.map((name) => make("th", name)));
  const lines = keys.map((key) => {
    const line = make("tr");
    line.append(make("th", key));
    stores.forEach((store, place) => {
      const shown = store.get(key);
      const cell = make("td", shown ? (shown.value ?? "deleted") : "–");
      if (shown) cell.append(make("small", shown.version));
      if (step !== null && place === server && change?.key === key) cell.className = "changed";
      line.append(cell);
    });
    return line;
  });
  element("stores").replaceChildren(head, ...lines);
  element("stores-title").textContent =
    step === null ? "What each server shows at the end" : `What each server shows after step ${step + 1}`;
}

function showFacts() {
  const row = step === null ? null : run.rows[step];
  element("says").textContent = row ? row.says : "The whole run";
  const facts = row ? row.facts : [["to step", "press → and ←, or click an event"]];
  const lines = facts.flatMap(([name, what]) => [make("dt", name), make("dd", what)]);
  element("facts").replaceChildren(...lines);
  element("place").textContent = row ? `${step + 1} of ${run.rows.length}` : `${run.rows.length} events`;
  element("back").disabled = element("first").disabled = step === 0;
  element("next").disabled = element("last").disabled = step === last;
  element("all").disabled = step === null;
}

function mark(element, classes) {
  for (const [name, on] of Object.entries(classes)) element.classList.toggle(name, on);
}

function showFigure() {
  const now = step ?? last;
  const inPast = (row) => past && step !== null && cameBefore(row, now);
  const aside = (row) => past && step !== null && row < now && !inPast(row);
  document.body.classList.toggle("stepping", step !== null);
  document.body.classList.toggle("only-past", past && step !== null);
  for (const event of events) {
    const row = Number(event.dataset.row);
    mark(event, { later: row > now, now: row === step, past: inPast(row), aside: aside(row) });
  }
  for (const message of messages) {
    const [from, to] = [Number(message.dataset.from), Number(message.dataset.to)];
    const carried = (to === step || inPast(to)) && inPast(from);
    mark(message, { later: from > now, "on-the-way": from <= now && to > now, past: carried, aside: aside(to) });
  }
  for (const wait of waits) {
    const [from, to] = [number(wait.dataset.from), number(wait.dataset.to)];
    mark(wait, { later: from > now, waiting: from <= now && to !== null && to > now });
  }
}

function show() {
  showFigure();
  showFacts();
  showStores();
  const parts = [step === null ? "" : `step=${step + 1}`, past ? "past=1" : ""];
  history.replaceState(null, "", "#" + parts.filter(Boolean).join("&"));
}

function goTo(row) {
  step = row === null ? null : Math.min(Math.max(row, 0), last);
  show();
  if (step !== null) reveal(document.querySelector(".row.now"));
}

// Scrolls the figure if a row is out of sight, or hidden by the names of the servers.
function reveal(row) {
  const figure = document.querySelector(".figure");
  const [outer, inner] = [figure.getBoundingClientRect(), row.getBoundingClientRect()];
  const isHidden = inner.top < outer.top + 80 || inner.bottom > outer.bottom - 40;
  if (isHidden) figure.scrollTop += inner.top - outer.top - outer.height / 2;
}

const goBack = () => goTo(step === null ? last : step - 1);
const goOn = () => goTo(step === null ? 0 : step + 1);

function togglePast(on) {
  past = on;
  element("past").checked = on;
  show();
}

// A held update says under the pointer what it waits for; the rows concerned light up.
function showCard(wait, pointer) {
  const card = element("card");
  card.textContent = wait.querySelector("title, desc").textContent;
  card.hidden = false;
  const left = Math.min(pointer.clientX + 16, innerWidth - card.offsetWidth - 8);
  const top = Math.min(pointer.clientY + 14, innerHeight - card.offsetHeight - 8);
  card.style.left = `${left}px`;
  card.style.top = `${top}px`;
  light(wait, true);
}

function light(wait, on) {
  const rows = [wait.dataset.from, wait.dataset.to, wait.dataset.released];
  for (const row of rows.filter((row) => row !== "")) {
    for (const event of all(`[data-row="${row}"]`)) event.classList.toggle("lit", on);
  }
}

for (const wait of waits) {
  // The card takes the place of the browser's own tooltip.
  const title = wait.querySelector("title");
  const says = document.createElementNS("http://www.w3.org/2000/svg", "desc");
  says.textContent = title.textContent;
  title.replaceWith(says);
  wait.addEventListener("pointermove", (pointer) => showCard(wait, pointer));
  wait.addEventListener("pointerleave", () => {
    element("card").hidden = true;
    light(wait, false);
  });
}

for (const event of all(".event, .row")) {
  event.addEventListener("click", () => goTo(Number(event.dataset.row)));
}

element("first").addEventListener("click", () => goTo(0));
element("back").addEventListener("click", goBack);
element("next").addEventListener("click", goOn);
element("last").addEventListener("click", () => goTo(last));
element("all").addEventListener("click", () => goTo(null));
element("past").addEventListener("change", (change) => togglePast(change.target.checked));

const keys = {
  ArrowRight: goOn,
  ArrowLeft: goBack,
  Home: () => goTo(0),
  End: () => goTo(last),
  Escape: () => goTo(null),
  p: () => togglePast(!past),
};

addEventListener("keydown", (press) => {
  if (press.ctrlKey || press.metaKey || press.altKey || !(press.key in keys)) return;
  press.preventDefault();
  keys[press.key]();
});

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  element("theme").querySelector("span").textContent = isDark() ? "Light" : "Dark";
}

element("theme").addEventListener("click", () => setTheme(isDark() ? "light" : "dark"));

function open() {
  const address = new URLSearchParams(location.hash.slice(1));
  const asked = Number(address.get("step"));
  past = address.get("past") === "1";
  element("past").checked = past;
  setTheme(address.get("theme"));
  goTo(asked >= 1 ? asked - 1 : null);
}

addEventListener("hashchange", open);
open();
