// Cards of the results that were made in this browser, newest first, for as long as the service keeps them.

import * as api from "../common/api.js";
import { byId, make, notify } from "../common/dom.js";
import { forgetOthers, forgetPhoto } from "../storage/photos.js";
import { text } from "../common/texts.js";

const KEY = "sam3d-recent"; // storage key of the list
const MOST = 24; // results in the list
const MINUTE = 60_000; // milliseconds
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Show the list. open(report): called to show a result. */
export function showRecent(open) {
  const reports = read();
  byId("recent-empty").hidden = reports.length > 0;
  byId("recent").replaceChildren(...reports.map((report) => card(report, open)));
}

/** Put a result at the top of the list. seconds: how long the service keeps it. */
export function remember(report, seconds) {
  write([{ ...report, until: Date.now() + 1000 * seconds }, ...read().filter(({ id }) => id !== report.id)].slice(0, MOST));
}

export function forget(id) {
  forgetPhoto(id); // it lives as long as the result
  write(read().filter((report) => report.id !== id));
}

/** Ask the service how long each result is kept, and remove those from the list that it no longer has. */
export async function forgetExpired() {
  for (const { id } of read()) {
    try {
      const { expires_in_seconds: seconds } = await api.describe(id);
      write(read().map((report) => (report.id === id ? { ...report, until: endOf(seconds) } : report)));
    } catch (problem) {
      if (problem.code === "not_found") forget(id); // after any other failure, it may still be there
    }
  }
  forgetOthers(read().map(({ id }) => id));
}

/** Return when a result ends, in milliseconds as of `Date.now`; null if it is kept. */
const endOf = (seconds) => (seconds === null ? null : Date.now() + 1000 * seconds);

/** Keep the list true while the page is open: call `expired()` each minute in which a result's time has run out. */
export function watchTime(expired) {
  setInterval(() => {
    for (const note of byId("recent").querySelectorAll("[data-until]")) note.textContent = timeLeft(Number(note.dataset.until));
    if (read().some(({ until }) => until !== null && until <= Date.now())) expired();
  }, MINUTE);
}

function card(report, open) {
  const { id, until } = report;
  const name = report.name ?? text("recent.unnamed");
  const picture = make("img", { src: api.thumbnailUrl(id), alt: "", width: 128, height: 128, loading: "lazy" });
  picture.addEventListener("error", () => picture.classList.add("missing"));
  const left = make("small", { textContent: timeLeft(until) });
  if (until !== null) left.dataset.until = until;
  const caption = make("span", {}, make("strong", { textContent: name, title: name }), left);
  const show = make("button", { type: "button", className: "result", onclick: () => open(report) }, picture, caption);
  const drop = make("button", { type: "button", className: "forget", textContent: "×" });
  drop.setAttribute("aria-label", text("recent.remove", { name }));
  const item = make("li", {}, show, drop);
  drop.addEventListener("click", () => askBeforeDeletion(item, drop, id, open));
  return item;
}

/** Ask in the card itself, because a result that is deleted cannot be had again. */
function askBeforeDeletion(item, drop, id, open) {
  const yes = make("button", { type: "button", className: "primary", textContent: text("recent.delete") });
  const no = make("button", { type: "button", textContent: text("recent.keep") });
  const question = make("div", { className: "confirm" }, make("strong", { textContent: text("recent.confirm") }), yes, no);
  question.setAttribute("role", "group");
  question.setAttribute("aria-label", text("recent.confirm"));
  no.addEventListener("click", () => {
    question.remove();
    drop.focus();
  });
  yes.addEventListener("click", async () => {
    try {
      await api.remove(id);
    } catch (problem) {
      if (problem.code !== "not_found") {
        notify(problem.message);
        return;
      }
    }
    forget(id);
    showRecent(open);
    notify(text("recent.deleted"));
  });
  item.append(question);
  no.focus();
}

function timeLeft(until) {
  if (until === null) return text("recent.kept");
  const left = until - Date.now();
  if (!(left > 0)) return "";
  if (left > 2 * DAY) return text("recent.days", { count: Math.floor(left / DAY) });
  if (left > 2 * HOUR) return text("recent.hours", { count: Math.floor(left / HOUR) });
  return text("recent.minutes", { count: Math.max(1, Math.floor(left / MINUTE)) });
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
