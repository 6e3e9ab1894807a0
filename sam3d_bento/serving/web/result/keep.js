// Until when a result lives, and the button that keeps it.

import * as api from "../common/api.js";
import { byId } from "../common/dom.js";
import { text } from "../common/texts.js";

const REFRESH_MILLISECONDS = 30_000;
const { lang } = document.documentElement;
const clock = new Intl.DateTimeFormat(lang, { hour: "2-digit", minute: "2-digit" });
const date = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "short" });
const DAY_SECONDS = 86_400;

/** Show until when a result lives. result: as of `api.describe`. gone(): called when its time is over. */
export function showLife(result, gone) {
  const button = byId("keep");
  let ends = null; // when it expires, in milliseconds since 1970; null while it is kept
  let timer = null;

  const show = (found) => {
    ends = found.kept ? null : Date.now() + 1000 * found.expires_in_seconds;
    button.hidden = !found.keepable && !found.kept;
    button.textContent = text(found.kept ? "keep.release" : "keep.keep");
    button.setAttribute("aria-pressed", String(found.kept));
    tell();
  };
  const tell = () => {
    clearTimeout(timer);
    if (ends === null) {
      byId("life").textContent = text("keep.kept");
      return;
    }
    const left = (ends - Date.now()) / 1000;
    if (left <= 0) {
      gone();
      return;
    }
    byId("life").textContent = text("keep.until", { time: (left < DAY_SECONDS ? clock : date).format(ends), left: duration(left) });
    timer = setTimeout(tell, Math.min(REFRESH_MILLISECONDS, 1000 * left + 500));
  };

  button.addEventListener("click", async () => {
    button.disabled = true;
    byId("keep-status").textContent = "";
    try {
      show(await api.keep(result.id, ends !== null));
    } catch (problem) {
      if (problem.code === "not_found") gone();
      else byId("keep-status").textContent = problem.message;
    }
    button.disabled = false;
    button.focus();
  });
  show(result);
}

/** Return a time as a text in its largest unit. */
function duration(seconds) {
  const [value, unit] = seconds < 90 ? [seconds, "second"] : seconds < 5400 ? [seconds / 60, "minute"] : seconds < 2 * DAY_SECONDS ? [seconds / 3600, "hour"] : [seconds / DAY_SECONDS, "day"];
  return new Intl.NumberFormat(lang, { style: "unit", unit, unitDisplay: "long" }).format(Math.round(value));
}
