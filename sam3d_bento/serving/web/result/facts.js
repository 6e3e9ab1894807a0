// Show the figures and warnings of a finished model.

import { byId, make } from "../common/dom.js";
import { count, label, megabytes, number, percent, seconds, STAGES } from "../common/format.js";
import { text, textOr } from "../common/texts.js";

/** Show the figures in a report, or in what a file says of itself, which knows no times. bytes: of the GLB. */
export function showFacts(report, bytes = report.bytes) {
  list("facts", [
    [text("result.size"), megabytes(bytes)],
    [text("result.faces"), count(report.faces)],
    [text("result.vertices"), count(report.vertices)],
    [text("result.texture"), `${report.texture_size} px`],
    [text("result.seed"), String(report.seed)],
    [text("result.engine"), textOr(`result.engine.${report.engine}`, report.engine)],
    [text("result.mask"), text(`result.mask.${report.mask.source}`, { share: percent(report.mask.coverage) })],
    ...(report.seconds ? [[text("result.time"), seconds(Object.values(report.seconds).reduce((sum, spent) => sum + spent))]] : []),
  ]);
  if (report.seconds) list("times", [...STAGES].map(([stage, name]) => [name, seconds(report.seconds[stage])]));
}

/** Show the options that a run was made with. options: values by name, as in a report; null where none was given. */
export function showUsedOptions(options) {
  const used = Object.entries(options).filter(([, value]) => value !== null);
  list("used-options", used.map(([name, value]) => [optionName(name), optionValue(name, value)]));
}

/** Return what an option is called here. The catalogue may call it otherwise in the form, beside other options. */
const optionName = (name) => textOr(`result.option.${name}`, null) ?? textOr(`option.${name}`, label(name));

function optionValue(name, value) {
  const word = textOr(`option.${name}.value.${value}`, null);
  if (word !== null) return word;
  if (typeof value === "boolean") return text(value ? "result.yes" : "result.no");
  return typeof value === "number" ? number(value) : value;
}

/** Offer the whole report as a file. */
export function offerReport(report, name) {
  const link = byId("report");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(report, null, 2)], { type: "application/json" }));
  link.download = `${name}.json`;
  link.hidden = false;
}

function list(id, facts) {
  const rows = facts.map(([name, value]) =>
    make("div", { className: "fact" }, make("dt", { textContent: name }), make("dd", { textContent: value })),
  );
  byId(id).replaceChildren(...rows);
  byId(id).hidden = facts.length === 0;
}

export function showWarnings(codes) {
  byId("warnings").replaceChildren(...codes.map((code) => make("li", { textContent: textOr(`warning.${code}`, code) })));
}
