// Ask: a question goes out without leaving the page, and what is done for it is shown as it runs.
// The answer is the server's own page, as everywhere; without this file the form is sent whole.

const PATIENCE_MS = 20_000;
const MARKS = { running: "…", done: "✔", failed: "–", repeated: "=" };

async function told(response, heard) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const events = text.split("\n\n");
    text = events.pop();
    for (const one of events) {
      const lines = one.split("\n");
      const name = lines.find((line) => line.startsWith("event: "))?.slice(7);
      const data = lines.find((line) => line.startsWith("data: "))?.slice(6);
      if (name && data) heard(name, JSON.parse(data));
    }
  }
}

function panel(section) {
  const form = section.querySelector("form[data-ask]");
  const box = form.elements.text;
  const working = form.querySelector("[data-working]");
  const [question, steps, beginning] = working.children;
  const problem = form.querySelector("[data-problem]");
  const stop = form.querySelector("[data-stop]");
  const said = form.querySelector("[data-said]");
  const kept = `ask:${form.elements.incident.value}`;
  let stopping = null;

  function remember() {
    sessionStorage.setItem(kept, JSON.stringify([form.elements.conversation.value, box.value]));
  }

  async function renew() {
    const where = new URLSearchParams({ conversation: form.elements.conversation.value, incident: form.elements.incident.value });
    const answer = await fetch(`/console/ask?${where}`, { signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const name of ["[data-turns]", "[data-suggested]"]) {
      section.querySelector(name).replaceWith(document.adoptNode(page.querySelector(name)));
    }
    for (const one of section.querySelectorAll("a[data-evidence]")) {
      const there = new URL(one.href);
      if (there.pathname === location.pathname) one.setAttribute("href", there.hash);
    }
  }

  function step(event) {
    if (event.step === "text") {
      beginning.textContent = event.said;
      beginning.hidden = !event.said;
      return;
    }
    const name = event.name || event.step;
    let line = [...steps.children].find((one) => one.dataset.name === name && one.dataset.state === "running");
    if (!line) line = steps.appendChild(document.createElement("li"));
    line.dataset.name = name;
    line.dataset.state = event.state;
    line.textContent = `${MARKS[event.state] ?? ""} ${name} ${event.said}`;
  }

  async function ask(text) {
    const sent = new URLSearchParams(new FormData(form));
    sent.set("text", text);
    box.value = text;
    remember();
    stopping = new AbortController();
    question.textContent = text;
    steps.replaceChildren();
    beginning.hidden = true;
    problem.hidden = true;
    working.hidden = stop.hidden = false;
    said.textContent = "…";
    let failure = form.dataset.failed;
    try {
      const answer = await fetch(form.action, { method: "POST", body: sent, headers: { accept: "text/event-stream" }, signal: stopping.signal });
      if (!answer.ok) {
        failure = (await answer.json()).detail ?? failure;
        throw new Error(failure);
      }
      let ended = false;
      await told(answer, (name, data) => {
        if (name === "conversation") form.elements.conversation.value = data.conversation_id;
        if (name === "progress") step(data);
        if (name === "error") failure = data.detail;
        ended ||= name === "done";
      });
      if (!ended) throw new Error(failure);
      await renew();
      box.value = "";
      const last = section.querySelector(".turn:last-child");
      last?.scrollIntoView({ block: "nearest" });
      said.textContent = last?.querySelector(".reply")?.textContent.trim().split("\n")[0] ?? "";
    } catch {
      problem.textContent = stopping.signal.aborted ? form.dataset.stopped : failure;
      problem.hidden = false;
      said.textContent = "";
    }
    stopping = null;
    working.hidden = stop.hidden = true;
    remember();
    box.focus({ preventScroll: true });
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = (event.submitter?.name === "suggested" ? event.submitter.value : box.value).trim();
    if (text && !stopping) ask(text);
    else box.focus();
  });
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  section.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && stopping) stopping.abort();
  });
  section.addEventListener("click", (event) => {
    if (event.target.closest("a[data-evidence]")) event.target.closest("[popover]").hidePopover();
  });
  stop.addEventListener("click", () => stopping?.abort());
  box.addEventListener("input", remember);
  for (const one of form.querySelectorAll("[data-scripted]")) one.hidden = false;

  // An incident's page may load anew in the middle: the sitting and what was typed stay.
  const [conversation, text] = JSON.parse(sessionStorage.getItem(kept) ?? '["", ""]');
  if (document.body.dataset.incident && !form.elements.conversation.value) {
    box.value ||= text;
    form.elements.conversation.value = conversation;
    if (conversation) renew().catch(() => { form.elements.conversation.value = ""; });
  }
}

for (const one of document.querySelectorAll("[data-asking]")) panel(one);
