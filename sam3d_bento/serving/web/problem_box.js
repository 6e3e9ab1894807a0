// Show a problem: what happened, why, and what the user can do.

import { make } from "./dom.js";

// Advice by error code. The service's own sentence does not always give the next step in the studio.
const ADVICE = {
  bad_request: "Choose another photo or mask, or change the options.",
  busy: "The studio tries again automatically.",
  deadline_exceeded: "Choose a lower quality, fewer faces or a smaller texture.",
  engine_lost: "Try again. If it fails for this photo only, try another photo.",
  gpu_out_of_memory: "Try again, or choose a lower quality.",
  internal: "Try again. If it happens again, send the request id below to the operator.",
  bad_result: "Correct the mask, or try another seed.",
  no_object: "Choose another photo, or correct the mask.",
  not_found: "It may have expired: results are kept for a limited time. Make the model again.",
  not_ready: "The studio tries again automatically.",
  storage_full: "Try again later.",
  too_large: "Choose a smaller photo.",
  unsupported_media: "Choose a JPEG, PNG or WebP file.",
};

/** Show the problem in `box`. `actions`: [text, function] for the buttons below it. */
export function showProblem(box, problem, actions = []) {
  const text = [make("strong", { textContent: problem.title ?? "Something went wrong" }), make("p", { textContent: problem.message })];
  if (ADVICE[problem.code]) text.push(make("p", { textContent: ADVICE[problem.code] }));
  if (problem.requestId) text.push(make("p", { className: "small", textContent: `Request ${problem.requestId}` }));
  const buttons = actions.map(([label, act]) => make("button", { type: "button", textContent: label, onclick: act }));
  if (buttons.length) text.push(make("p", { className: "buttons" }, ...buttons));
  box.replaceChildren(...text);
  box.dataset.code = problem.code ?? "";
  box.hidden = false;
}

/** Show in how many seconds the next attempt is made, with a button that stops the attempts. */
export function showWaiting(box, problem, seconds, stop) {
  if (box.hidden || !box.querySelector(".countdown")) {
    showProblem(box, problem, [["Stop trying", stop]]);
    // Screen readers read the box when it appears; the countdown must not be read out each second.
    const countdown = make("p", { className: "countdown" });
    countdown.setAttribute("aria-live", "off");
    box.append(countdown);
  }
  box.querySelector(".countdown").textContent = `Next try in ${seconds} s`;
}

export function hideProblem(box) {
  box.hidden = true;
  box.replaceChildren();
}
