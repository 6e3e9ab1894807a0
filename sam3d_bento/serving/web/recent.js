// List the results that were made in this browser, newest first, for as long as the service keeps them.

import * as api from "./api.js";
import { byId, make } from "./dom.js";
import { text } from "./texts.js";

const KEY = "sam3d-recent"; // storage key of the list
const MOST = 24; // results in the list

const when = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "short", timeStyle: "short" });

/** Show the list. open(report): called to show a result. */
export function showRecent(open) {
  const reports = read();
  byId("recent-empty").hidden = reports.length > 0;
  byId("recent").replaceChildren(...reports.map((report) => item(report, open)));
}

export function remember(report) {
  write([{ ...report, at: Date.now() }, ...read().filter(({ id }) => id !== report.id)].slice(0, MOST));
}

export function forget(id) {
  write(read().filter((report) => report.id !== id));
}

/** Remove results from the list that the service no longer has. */
export async function forgetExpired() {
  for (const { id } of read()) if (!(await api.exists(id))) forget(id);
}

function item(report, open) {
  const { id, name, faces, seed, at } = report;
  const picture = make("img", { src: api.thumbnailUrl(id), alt: "", width: 128, height: 128, loading: "lazy" });
  picture.addEventListener("error", () => picture.classList.add("missing"));
  const figures = make("small", { textContent: text("recent.figures", { faces, seed: String(seed) }) });
  const caption = make("span", {}, name ?? "", figures, make("small", { textContent: when.format(at) }));
  const show = make("button", { type: "button", className: "result", onclick: () => open(report) }, picture, caption);
  const drop = make("button", { type: "button", className: "forget", textContent: "×", onclick: () => { forget(id); showRecent(open); } });
  drop.setAttribute("aria-label", text("recent.remove", { time: when.format(at) }));
  return make("li", {}, show, drop);
}

/** Read the list. Empty if storage is switched off or holds data of another version. */
function read() {
  try {
    const reports = JSON.parse(localStorage.getItem(KEY));
    return Array.isArray(reports) ? reports : [];
  } catch {
    return [];
  }
}

function write(reports) {
  try {
    localStorage.setItem(KEY, JSON.stringify(reports));
  } catch {
    // storage is full or switched off; the studio works without the list
  }
}
