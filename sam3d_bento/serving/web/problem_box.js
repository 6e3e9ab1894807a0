// A problem as people read it: what, why, and what they can do.

import { make } from "./dom.js";

// What helps is not always in the service's sentence, which is written for programs too.
const ADVICE = {
  bad_request: "Choose another photo or mask, or change the options.",
  busy: "It is tried again by itself.",
  deadline_exceeded: "A lower quality, fewer faces or a smaller texture need less time.",
  engine_lost: "Try again; if it happens with this photo only, try another.",
  gpu_out_of_memory: "Try again, or with a lower quality.",
  internal: "If it happens again, give the operator the request id below.",
  bad_result: "Correct the mask, or try another seed.",
  no_object: "Choose another photo, or correct the mask.",
  not_found: "It may have expired. Results are kept for a limited time only.",
  not_ready: "It is tried again by itself.",
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

/** Show that the same is tried again in some seconds, and let the person stop it. */
export function showWaiting(box, problem, seconds, stop) {
  if (box.hidden || !box.querySelector(".countdown")) {
    showProblem(box, problem, [["Stop trying", stop]]);
    // Not read out each second: the box itself, an alert, was read when it appeared.
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
