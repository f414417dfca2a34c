// Times in the reader's zone, clocks that run, and the live parts of a page: refreshed from the
// server's own HTML whenever the feed tells of an event. Without this file pages are read-only.

const SECOND = 1000;
// All pages hear of an event at once: they do not all come at once.
const SETTLE_MS = 250, SPREAD_MS = 1250;
const PATIENCE_MS = 20 * SECOND;
const IDLE_REFRESH_MS = 60 * SECOND;

const body = document.body;
const feedSign = document.querySelector("[data-feed]");
const lostSign = document.querySelector("[data-lost]");
const served = new Map();
let after = Number(body.dataset.after ?? NaN);

function localize(root) {
  for (const one of root.querySelectorAll("time[data-local]")) {
    const at = new Date(one.dateTime);
    const language = document.documentElement.lang;
    const whole = { dateStyle: "medium", timeStyle: "long" };
    if (one.dataset.local === "date") one.textContent = at.toLocaleString(language, whole);
    else if (one.dataset.local !== "zone") one.textContent = at.toLocaleTimeString(language, { hourCycle: "h23" });
    else if (at.getTimezoneOffset()) one.textContent = at.toLocaleString(language, whole);
  }
}

function lasting(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return whole % 60 ? `${minutes} min ${whole % 60} s` : `${minutes} min`;
  return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes / 60} h`;
}

// The server's time may be that of a replay: its distance from ours is kept.
let skew = Number(body.dataset.now ?? NaN) * SECOND - Date.now();

function tick() {
  if (Number.isNaN(skew)) return;
  for (const one of document.querySelectorAll("[data-age]")) {
    one.textContent = lasting((Date.now() + skew - Date.parse(one.dataset.age)) / SECOND);
  }
}

function content(element) {
  const copy = element.cloneNode(true);
  for (const one of copy.querySelectorAll("[data-age]")) one.textContent = "";
  return copy.outerHTML;
}

function replace(old, fresh) {
  const open = new Map();
  for (const one of old.querySelectorAll("details[data-key]")) open.set(one.dataset.key, one.open);
  const typed = [...old.querySelectorAll("input:not([type=hidden]), textarea")].some((one) => one.value !== one.defaultValue || one.checked !== one.defaultChecked);
  const chosen = [...old.querySelectorAll("select:has(option[selected])")].some((one) => !one.selectedOptions[0].defaultSelected);
  if (typed || chosen) return false;
  if (old.querySelector(":popover-open")) return false;
  for (const one of fresh.querySelectorAll("details[data-key]")) {
    if (open.has(one.dataset.key)) one.open = open.get(one.dataset.key);
  }
  localize(fresh);
  offerCopies(fresh);
  fresh.classList.add("renewed");
  old.replaceWith(fresh);
  return true;
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" }, signal: AbortSignal.timeout(PATIENCE_MS) });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.title = page.title;
  skew = Number(page.body.dataset.now) * SECOND - Date.now();
  const parts = new Map([...page.querySelectorAll("[data-live]")].map((one) => [one.dataset.live, one]));
  const shown = [...document.querySelectorAll("[data-live]")];
  if (shown.length !== parts.size || shown.some((one) => !parts.has(one.dataset.live))) {
    location.reload();
    return;
  }
  for (const old of shown) {
    const name = old.dataset.live;
    const fresh = parts.get(name);
    const text = content(fresh);
    if (text !== served.get(name) && replace(old, document.adoptNode(fresh))) served.set(name, text);
  }
  tick();
}

let waiting = 0;
// A page opened by a link from elsewhere came without the session: it is asked for again.
let stale = !("person" in body.dataset);

function soon() {
  if (waiting) return;
  waiting = setTimeout(async () => {
    waiting = 0;
    try {
      await refresh();
      stale = false;
    } catch {
      stale = true;
    }
  }, SETTLE_MS + Math.random() * (location.pathname === "/" ? SPREAD_MS : 0));
}

function follow(pause = SECOND) {
  feedSign.textContent = feedSign.dataset.connectingText;
  const source = new EventSource(`/events?after=${after}`);
  let lost = 0;
  source.onopen = () => {
    pause = SECOND;
    clearTimeout(lost);
    lost = 0;
    lostSign.hidden = true;
    feedSign.textContent = feedSign.dataset.liveText;
    feedSign.classList.add("on");
    if (stale) soon();
  };
  source.onmessage = (event) => {
    after = Number(event.lastEventId) || after;
    const told = JSON.parse(event.data);
    const mine = body.dataset.incident;
    if (!mine || !told.incident_id || told.incident_id === mine) soon();
  };
  source.onerror = () => {
    stale = true;
    feedSign.classList.remove("on");
    feedSign.textContent = feedSign.dataset.connectingText;
    lost ||= setTimeout(() => { lostSign.hidden = false; }, 3 * SECOND);
    if (source.readyState === EventSource.CLOSED) {
      setTimeout(() => follow(Math.min(pause * 2, 15 * SECOND)), pause * (0.5 + Math.random()));
    }
  };
}

// On paper nothing can be unfolded.
let unfolded = [];
addEventListener("beforeprint", () => {
  unfolded = [...document.querySelectorAll("main details:not([open])")];
  for (const one of unfolded) one.open = true;
});
addEventListener("afterprint", () => { for (const one of unfolded) one.open = false; });

function offerCopies(root) {
  for (const one of root.querySelectorAll("[data-copy]")) one.hidden = !navigator.clipboard;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  button.textContent = button.dataset.done;
});

// A file is read here and sent as text: the form is the same as without a script.
for (const one of document.querySelectorAll("[data-into]")) {
  one.closest("[data-scripted]").hidden = false;
  one.addEventListener("change", async () => {
    if (one.files[0]) document.getElementById(one.dataset.into).value = await one.files[0].text();
  });
}

offerCopies(document);
for (const one of document.querySelectorAll("[data-live]")) served.set(one.dataset.live, content(one));
localize(document);
tick();
setInterval(tick, SECOND);
if (!Number.isNaN(after)) {
  follow();
  setInterval(soon, IDLE_REFRESH_MS);
  document.addEventListener("visibilitychange", () => { if (!document.hidden && stale) soon(); });
}
