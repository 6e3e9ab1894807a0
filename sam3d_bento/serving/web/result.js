// Show the figures and warnings of a finished model, and its downloads.

import * as api from "./api.js";
import { byId, make } from "./dom.js";
import { chosenFormatOptions, chosenHeight } from "./options_form.js";
import { retryWhileBusy } from "./retry.js";
import { count, megabytes, percent, seconds, STAGES } from "./format.js";

const READ_MILLISECONDS = 60_000; // milliseconds that the browser has to read a file that was made for download

/** Show the figures in the report. */
export function showFacts(report) {
  list("facts", [
    ["Size", megabytes(report.bytes)],
    ["Faces", count(report.faces)],
    ["Vertices", count(report.vertices)],
    ["Texture", `${report.texture_size} px`],
    ["Seed", String(report.seed)],
    ["Engine", report.engine],
    ["Mask", `${report.mask.source}, ${percent(report.mask.coverage)}`],
    ["Time", seconds(Object.values(report.seconds).reduce((sum, spent) => sum + spent))],
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

export function showWarnings(codes, sentences) {
  byId("warnings").replaceChildren(...codes.map((code) => make("li", { textContent: sentences[code] ?? code })));
}

/** Show the download buttons, disabled if id is null. formats: as in /api/options. seeded: whether a new seed helps. */
export function showDownloads(id, formats, seeded) {
  const glb = make("a", { className: "button primary", id: "download", textContent: "Download GLB" });
  if (id) Object.assign(glb, { href: api.assetUrl(id), download: "" }); // the service names it
  else {
    glb.setAttribute("role", "link");
    glb.setAttribute("aria-disabled", "true");
  }
  glb.addEventListener("click", (event) => {
    const chosen = { ...chosenHeight(), ...chosenFormatOptions(formats.glb.options) };
    if (!id || !Object.keys(chosen).length) return; // the link gives the stored file
    event.preventDefault();
    save(id, { format: "glb", ...chosen }, glb);
  });
  const others = Object.entries(formats).filter(([name]) => name !== "glb");
  const buttons = others.map(([name, { description, options = {} }]) => {
    const button = make("button", { type: "button", disabled: !id, textContent: name.toUpperCase().replace("-", " "), title: description });
    button.addEventListener("click", () => save(id, { format: name, ...chosenHeight(), ...chosenFormatOptions(options) }, button));
    return button;
  });
  const again = make("button", { type: "button", id: "again", hidden: !seeded, disabled: true, textContent: "Again with a new seed" });
  byId("downloads").replaceChildren(glb, ...buttons, again);
  showStatus("");
}

/** Let the service make the file, which may take seconds, and save it. */
async function save(id, fields, button) {
  button.disabled = true;
  const kind = button.textContent.replace("Download ", "");
  showStatus(`Making the ${kind} file…`);
  try {
    const { blob, name } = await retryWhileBusy(
      () => api.exportAs(id, fields),
      (problem, left) => showStatus(`${problem.message} Next try in ${left} s.`),
    );
    const link = make("a", { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), READ_MILLISECONDS);
    showStatus(`${kind}, ${megabytes(blob.size)}`);
  } catch (problem) {
    showStatus(problem.message);
  }
  button.disabled = false;
}

function showStatus(text) {
  byId("download-status").textContent = text;
}
