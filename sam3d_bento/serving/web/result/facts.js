// Show the figures and warnings of a finished model.

import { byId, make } from "../common/dom.js";
import { count, megabytes, percent, seconds, STAGES } from "../common/format.js";
import { text, textOr } from "../common/texts.js";

/** Show the figures in a report, or in what a file says of itself, which knows no times. bytes: of the GLB. */
export function showFacts(report, bytes = report.bytes) {
  list("facts", [
    [text("result.size"), megabytes(bytes)],
    [text("result.faces"), count(report.faces)],
    [text("result.vertices"), count(report.vertices)],
    [text("result.texture"), `${report.texture_size} px`],
    [text("result.seed"), String(report.seed)],
    [text("result.engine"), report.engine],
    [text("result.mask"), text("result.mask.value", { source: report.mask.source, share: percent(report.mask.coverage) })],
    ...(report.seconds ? [[text("result.time"), seconds(Object.values(report.seconds).reduce((sum, spent) => sum + spent))]] : []),
  ]);
  if (report.seconds) list("times", [...STAGES].map(([stage, name]) => [name, seconds(report.seconds[stage])]));
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
