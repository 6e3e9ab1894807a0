// The strip at the top: whether the service takes work, and how far its engine can be believed.

import * as api from "./api.js";
import { byId } from "./dom.js";

const LOADING_POLL = 2000; // milliseconds
const CALM_POLL = 20000;

const STATES = {
  starting: "The engine is loading. You can choose a photo and correct its mask meanwhile.",
  restarting: "The engine is being restarted. What you send now waits for it.",
  failed: "The engine could not be loaded.",
  stopped: "The service is shutting down.",
};

/** Watch the service for as long as the page is open. `ready` is called each time that it becomes ready. */
export async function watchService(ready) {
  let before = null;
  for (;;) {
    const report = await api.health().catch(() => null);
    const state = report?.status ?? "unreachable";
    show(state, report);
    if (state === "ready" && before !== "ready") ready();
    before = state;
    await nextLook(state === "ready" ? CALM_POLL : LOADING_POLL);
  }
}

function show(state, report) {
  const strip = byId("service");
  strip.dataset.state = state;
  strip.dataset.guesses = report?.engine_facts?.guesses ?? false;
  const text = state === "ready" ? ready(report) : notReady(state, report);
  if (strip.textContent !== text) strip.textContent = text; // else screen readers would hear it at every look
}

function ready({ engine, engine_facts: facts, device }) {
  return `${facts.summary ?? `Engine: ${engine}.`} Ready, on ${device === "cpu" ? "the CPU" : device}.`;
}

function notReady(state, report) {
  if (!report) return "The service does not answer. Trying again…";
  return [STATES[state] ?? "The service is not ready.", state === "failed" ? report.reason : ""].join(" ").trim();
}

/** Resolves after the pause, at the earliest when the page is seen. */
function nextLook(milliseconds) {
  return new Promise((resolve) => {
    setTimeout(() => {
      if (document.visibilityState === "visible") resolve();
      else document.addEventListener("visibilitychange", () => resolve(), { once: true });
    }, milliseconds);
  });
}
