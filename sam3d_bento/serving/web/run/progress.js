// Show the progress of a job, and announce it to screen readers.

import { announce, byId, make } from "../common/dom.js";
import { seconds, STAGES } from "../common/format.js";
import { text } from "../common/texts.js";

export function showProgress(job) {
  const order = [...STAGES.keys()];
  const reached = order.indexOf(job.stage);
  byId("progress-stages").replaceChildren(
    ...order.map((stage, index) => {
      const state = index < reached ? "done" : index === reached ? "now" : "to come";
      const item = make("li", {}, make("span", { textContent: STAGES.get(stage) }));
      item.dataset.state = state;
      if (state === "now") item.append(make("span", { textContent: percentage(job.stage_fraction ?? 0) }));
      return item;
    }),
  );
  byId("progress-bar").value = job.fraction ?? 0;
  byId("progress-detail").textContent = detail(job);
  const headline = job.state === "queued" ? waiting(job.position) : running(job.stage);
  if (byId("progress-headline").textContent !== headline) {
    byId("progress-headline").textContent = headline;
    announce(headline); // once per stage, not at each per cent
  }
}

/** Show a headline without progress: before the service has answered, or while the connection is lost. */
export function showPause(headline) {
  showProgress({ state: "running", stage: null, fraction: 0 });
  byId("progress-headline").textContent = headline;
  byId("progress-detail").textContent = "";
  announce(headline);
}

const percentage = (fraction) => `${Math.round(fraction * 100)}%`;

function waiting(position) {
  return position ? text("progress.ahead", { count: position }) : text("progress.next");
}

const running = (stage) => (STAGES.has(stage) ? text("progress.stage", { stage: STAGES.get(stage) }) : text("progress.starting"));

function detail({ fraction, estimated_seconds: left }) {
  const share = percentage(fraction ?? 0);
  return left === null || left === undefined ? share : text("progress.left", { share, seconds: seconds(Math.max(left, 1)) });
}
