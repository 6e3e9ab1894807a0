// The status line at the top: whether the service is ready, and what its engine can do.

import * as api from "./api.js";
import { byId } from "./dom.js";
import { text, textOr } from "./texts.js";

const LOADING_POLL = 2000; // milliseconds between requests while the service is not ready
const READY_POLL = 20000; // milliseconds between requests while it is ready

/** Watch the service while the page is open; call `ready` each time it becomes ready. */
export async function watchService(ready) {
  let before = null;
  for (;;) {
    const report = await api.health().catch(() => null);
    const state = report?.status ?? "unreachable";
    show(state, report);
    if (state === "ready" && before !== "ready") ready();
    before = state;
    await nextLook(state === "ready" ? READY_POLL : LOADING_POLL);
  }
}

function show(state, report) {
  const strip = byId("service");
  strip.dataset.state = state;
  strip.dataset.guesses = report?.engine_facts?.guesses ?? false;
  const sentence = state === "ready" ? ready(report) : notReady(state, report);
  if (strip.textContent !== sentence) strip.textContent = sentence; // otherwise screen readers would read it at every poll
}

function ready({ engine, engine_facts: facts, device }) {
  const summary = textOr(`engine.${engine}`, facts.summary ?? text("engine.other", { name: engine }));
  return `${summary} ${device === "cpu" ? text("service.ready_on_cpu") : text("service.ready_on", { device })}`;
}

function notReady(state, report) {
  if (!report) return text("service.unreachable");
  return [textOr(`service.${state}`, text("service.not_ready")), state === "failed" ? report.reason : ""].join(" ").trim();
}

/** Resolve after the pause, but not before the page is visible; at once when a request found the service away. */
function nextLook(milliseconds) {
  return new Promise((resolve) => {
    const over = new AbortController(); // ends the listening
    const end = () => {
      clearTimeout(timer);
      over.abort();
      resolve();
    };
    const timer = setTimeout(() => {
      if (document.visibilityState === "visible") end();
      else document.addEventListener("visibilitychange", end, { signal: over.signal });
    }, milliseconds);
    for (const event of ["unreachable", "online", "offline"]) window.addEventListener(event, end, { signal: over.signal });
  });
}
