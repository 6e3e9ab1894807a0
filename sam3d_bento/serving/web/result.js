// Show the figures and warnings of a finished model, and its downloads.

import * as api from "./api.js";
import { byId, make } from "./dom.js";
import { chosenFormatOptions, chosenHeight } from "./options_form.js";
import { retryWhileBusy } from "./retry.js";
import { count, megabytes, percent, seconds, STAGES } from "./format.js";
import { text, textOr } from "./texts.js";

const READ_MILLISECONDS = 60_000; // milliseconds that the browser has to read a file that was made for download

/** Show the figures in the report. */
export function showFacts(report) {
  list("facts", [
    [text("result.size"), megabytes(report.bytes)],
    [text("result.faces"), count(report.faces)],
    [text("result.vertices"), count(report.vertices)],
    [text("result.texture"), `${report.texture_size} px`],
    [text("result.seed"), String(report.seed)],
    [text("result.engine"), report.engine],
    [text("result.mask"), text("result.mask.value", { source: report.mask.source, share: percent(report.mask.coverage) })],
    [text("result.time"), seconds(Object.values(report.seconds).reduce((sum, spent) => sum + spent))],
  ]);
  list("times", [...STAGES].map(([stage, name]) => [name, seconds(report.seconds[stage])]));
}

function list(id, facts) {
  const rows = facts.map(([name, value]) =>
    make("div", { className: "fact" }, make("dt", { textContent: name }), make("dd", { textContent: value })),
  );
  byId(id).replaceChildren(...rows);
  byId(id).hidden = false;
}

export function showWarnings(codes) {
  byId("warnings").replaceChildren(...codes.map((code) => make("li", { textContent: textOr(`warning.${code}`, code) })));
}

/** Show the download buttons; none if id is null. formats: as in /api/options. */
export function showDownloads(id, formats) {
  byId("format-options-box").hidden = !id || !byId("format-options").childElementCount;
  showStatus("");
  if (!id) {
    byId("downloads").replaceChildren();
    return;
  }
  const glb = make("a", { className: "button primary", id: "download", textContent: text("download.glb") });
  Object.assign(glb, { href: api.assetUrl(id), download: "" }); // the service names it
  glb.addEventListener("click", (event) => {
    const chosen = { ...chosenHeight(), ...chosenFormatOptions(formats.glb.options) };
    if (!Object.keys(chosen).length) return; // the link gives the stored file
    event.preventDefault();
    save(id, { format: "glb", ...chosen }, glb);
  });
  const others = Object.entries(formats).filter(([name]) => name !== "glb");
  const buttons = others.map(([name, { description, options = {} }]) => {
    const button = make("button", { type: "button", textContent: kindName(name), title: description });
    button.addEventListener("click", () => save(id, { format: name, ...chosenHeight(), ...chosenFormatOptions(options) }, button));
    return button;
  });
  byId("downloads").replaceChildren(glb, ...buttons);
}

const kindName = (format) => format.toUpperCase().replace("-", " ");

/** Let the service make the file, which may take seconds, and save it. */
async function save(id, fields, button) {
  button.disabled = true;
  const kind = kindName(fields.format);
  showStatus(text("download.making", { kind }));
  try {
    const { blob, name } = await retryWhileBusy(
      () => api.exportAs(id, fields),
      (problem, left) => showStatus(text("download.waiting", { message: problem.message, seconds: left })),
    );
    const link = make("a", { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), READ_MILLISECONDS);
    showStatus(text("download.made", { kind, size: megabytes(blob.size) }));
  } catch (problem) {
    showStatus(problem.message);
  }
  button.disabled = false;
}

function showStatus(text) {
  byId("download-status").textContent = text;
}
