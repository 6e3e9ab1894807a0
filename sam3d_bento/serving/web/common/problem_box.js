// Show a problem: what happened, why, and what the user can do.

import { make } from "./dom.js";
import { text } from "./texts.js";

// Codes of which only the service's own sentence says which field is meant.
const SAID_AT_ONCE = ["bad_request"];

/** Show the problem in `box`. `actions`: [text, function] for the buttons below it. */
export function showProblem(box, problem, actions = []) {
  const parts = [make("strong", { textContent: problem.title }), make("p", { textContent: problem.message })];
  const said = problem.detail !== problem.message ? problem.detail : null;
  if (said || problem.requestId) parts.push(details(said, problem.requestId, SAID_AT_ONCE.includes(problem.code)));
  const buttons = actions.map(([label, act]) => make("button", { type: "button", textContent: label, onclick: act }));
  if (buttons.length) parts.push(make("p", { className: "buttons" }, ...buttons));
  box.replaceChildren(...parts);
  box.dataset.code = problem.code ?? "";
  box.hidden = false;
}

/** Show in how many seconds the next attempt is made, with a button that stops the attempts. */
export function showWaiting(box, problem, seconds, stop) {
  if (box.hidden || !box.querySelector(".countdown")) {
    showProblem(box, problem, [[text("problem.stop_trying"), stop]]);
    // Screen readers read the box when it appears; the countdown must not be read out each second.
    const countdown = make("p", { className: "countdown" });
    countdown.setAttribute("aria-live", "off");
    box.append(countdown);
  }
  box.querySelector(".countdown").textContent = text("problem.next_try", { seconds });
}

/** Fold away what only some need: the service's own sentence, and what the operator finds the request by. */
function details(said, requestId, open) {
  const lines = [said, requestId && text("problem.request", { id: requestId })].filter(Boolean);
  return make("details", { className: "small", open }, make("summary", { textContent: text("problem.said") }),
    ...lines.map((line) => make("p", { textContent: line })));
}

export function hideProblem(box) {
  box.hidden = true;
  box.replaceChildren();
}
