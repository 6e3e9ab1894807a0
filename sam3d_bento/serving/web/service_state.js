// The status line at the top: whether the service is ready, and what its engine can do.

import * as api from "./api.js";
import { byId } from "./dom.js";

const LOADING_POLL = 2000; // milliseconds between requests while the service is not ready
const READY_POLL = 20000; // milliseconds between requests while it is ready

const STATES = {
  starting: "The engine is loading. You can choose a photo and correct its mask in the meantime.",
  restarting: "The engine is restarting. Jobs that you send now will wait for it.",
  failed: "The engine could not be loaded.",
  stopped: "The service is shutting down.",
};

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
  const text = state === "ready" ? ready(report) : notReady(state, report);
  if (strip.textContent !== text) strip.textContent = text; // otherwise screen readers would read it at every poll
}

function ready({ engine, engine_facts: facts, device }) {
  return `${facts.summary ?? `Engine: ${engine}.`} Ready, on ${device === "cpu" ? "the CPU" : device}.`;
}

function notReady(state, report) {
  if (!report) return "The service does not answer. Trying again…";
  return [STATES[state] ?? "The service is not ready.", state === "failed" ? report.reason : ""].join(" ").trim();
}

/** Resolve after the pause, but not before the page is visible. */
function nextLook(milliseconds) {
  return new Promise((resolve) => {
    setTimeout(() => {
      if (document.visibilityState === "visible") resolve();
      else document.addEventListener("visibilitychange", () => resolve(), { once: true });
    }, milliseconds);
  });
}
