// The form of what is ordered: a purpose, a height and, under Advanced, every other option of the service's schemas.
// The catalogue of texts has the words; what it does not know is shown as the service names and describes it.
// A second form, with the options of file formats, is for downloads. All choices are kept between visits.

import { byId, make } from "../common/dom.js";
import { label } from "../common/format.js";
import { keepChoice, keptChoice } from "../storage/kept_choices.js";
import { text, textOr } from "../common/texts.js";

// Not offered among the options: the page itself decides how the result is delivered, asks for the purpose and the height
// beside the photo, takes points and boxes from clicks in it, and sends no point map.
const ELSEWHERE = ["response", "preset", "height", "longest_side", "name", "points", "box", "candidate", "intrinsics", "pointmap_frame"];
// In which order, and under which headings, the options stand. Options that are not listed come last.
const GROUPS = {
  mesh: ["target_faces", "max_deviation"],
  texture: ["texture_size", "texture_format", "normal_map", "colour_source"],
  engine: ["shape", "quality", "seed"],
  file: ["compress", "origin", "scale", "double_sided"],
  scene: ["pose", "frame"],
};
const NO_PRESET = "none"; // the purpose of a model with the usual options
const CENTIMETRES_PER_METRE = 100;

/**
 * Show the options that matter. schemas, presets: as in /api/options. ignored: the names of options that the engine does not
 * use.
 */
export function showOptions(schemas, presets, ignored) {
  const shown = Object.keys(schemas).filter((name) => ![...ELSEWHERE, ...ignored].includes(name));
  const listed = Object.values(GROUPS).flat();
  const groups = { ...GROUPS, other: shown.filter((name) => !listed.includes(name)) };
  byId("options").replaceChildren(
    ...Object.entries(groups).map(([group, names]) => fieldset(group, names.filter((name) => shown.includes(name)), schemas)).filter(Boolean),
  );
  byId("purposes").replaceChildren(...[NO_PRESET, ...Object.keys(presets)].map((name) => purpose(name, presets)));
  listenToHeight();
}

/** Set everything that was chosen back to what is usual. */
export function resetOptions() {
  for (const control of controlsIn("options")) setTo(control, null);
  const usual = byId("purposes").querySelector(`[value="${NO_PRESET}"]`);
  usual.checked = true;
  keepChoice("purpose", null);
  byId("tall").value = "";
  keepChoice("tall", null);
}

/** Return the options that differ from their defaults. The purpose is not among them: its values are in the form. */
export function chosenOptions() {
  const { target_faces: faces, ...chosen } = chosenIn("options");
  // The service takes one limit of the mesh, and the deviation is the one that somebody typed in.
  return chosen.max_deviation || faces === undefined ? chosen : { ...chosen, target_faces: faces };
}

/** Show each option of the formats once, with the formats that use it. formats: as in /api/options. */
export function showFormatOptions(formats) {
  const schemas = new Map();
  for (const [format, { options = {} }] of Object.entries(formats)) {
    for (const [name, schema] of Object.entries(options)) {
      const takers = [...(schemas.get(name)?.takers ?? []), format];
      schemas.set(name, { ...schema, takers });
    }
  }
  byId("format-options").replaceChildren(...[...schemas].map(([name, schema]) => field(name, schema)).filter(Boolean));
}

/** Return the chosen format options that a format takes. options: the schemas of that format. */
export function chosenFormatOptions(options) {
  return Object.fromEntries(Object.entries(chosenIn("format-options")).filter(([name]) => name in options));
}

/** Return the height that was asked for beside the photo, as the service takes it; nothing if the field is empty. */
export function chosenHeight() {
  const { value } = byId("tall");
  return value === "" ? {} : { height: String(Number(value) / CENTIMETRES_PER_METRE) };
}

/** Clear one option, so that the service chooses its value. */
export function leaveToService(name) {
  const control = controlOf(name);
  if (control) setTo(control, "");
}

const controlsIn = (id) => [...byId(id).querySelectorAll("[name]")];
const controlOf = (name) => byId("options").querySelector(`[name="${name}"]`);
const valueOf = (control) => (control.type === "checkbox" ? String(control.checked) : control.value);

function chosenIn(id) {
  const differing = controlsIn(id).filter((control) => valueOf(control) !== control.dataset.default);
  return Object.fromEntries(differing.map((control) => [control.name, valueOf(control)]));
}

/** Give a control a value, or its default if that is null, and keep it. */
function setTo(control, value) {
  fill(control, value ?? control.dataset.default);
  keep(control);
}

function fill(control, value) {
  if (control.type === "checkbox") control.checked = value === "true";
  else control.value = value;
}

const keep = (control) => keepChoice(control.name, valueOf(control) === control.dataset.default ? null : valueOf(control));

function purpose(name, presets) {
  const input = make("input", { type: "radio", name: "purpose", value: name, checked: (keptChoice("purpose") ?? NO_PRESET) === name });
  input.addEventListener("change", () => {
    keepChoice("purpose", name === NO_PRESET ? null : name);
    applyPreset(presets, presets[name] ?? {});
  });
  const sentence = textOr(`preset.${name}.help`, "");
  return make("label", { className: "card" }, input, make("strong", { textContent: textOr(`preset.${name}`, label(name)) }), make("small", { textContent: sentence }));
}

/** Show the values of a preset, and the defaults of what other presets change. Each can be changed afterwards. */
function applyPreset(presets, values) {
  for (const name of new Set(Object.values(presets).flatMap(Object.keys))) {
    const control = controlOf(name);
    if (control) setTo(control, name in values ? String(values[name]) : null);
  }
}

function listenToHeight() {
  const tall = byId("tall");
  tall.value = keptChoice("tall") ?? "";
  tall.addEventListener("change", () => keepChoice("tall", tall.value || null));
}

function fieldset(group, names, schemas) {
  const fields = names.map((name) => field(name, schemas[name])).filter(Boolean);
  if (!fields.length) return null;
  return make("fieldset", { className: "group" }, make("legend", { textContent: text(`option.group.${group}`) }), ...fields);
}

function field(name, schema) {
  const kind = kindOf(schema);
  const control = controlFor(name, kind, schema.default === null);
  if (!control) return null;
  Object.assign(control, { name, id: `option-${name}` });
  control.dataset.default = String(schema.default ?? "");
  fill(control, keptChoice(name) ?? control.dataset.default);
  if (control.tagName === "SELECT" && control.selectedIndex < 0) fill(control, control.dataset.default); // kept from another version
  control.addEventListener("change", () => keep(control));
  const sentences = [textOr(`option.${name}.help`, schema.description), range(kind)];
  const help = make("small", { id: `help-${name}` }, ...withCode(sentences.filter(Boolean).join(" ")));
  control.setAttribute("aria-describedby", help.id);
  const takers = schema.takers ? ` (${schema.takers.join(", ").toUpperCase()})` : "";
  return make("div", { className: "field" }, make("label", { htmlFor: control.id, textContent: textOr(`option.${name}`, label(name)) + takers }), control, help);
}

/** Merge the alternatives (`anyOf`) of a schema: drop null, and turn a boolean beside strings into choices. */
function kindOf(schema) {
  const kinds = schema.anyOf?.filter(({ type }) => type !== "null") ?? [schema];
  if (kinds.length === 1) return kinds[0];
  return { enum: kinds.flatMap(({ type, enum: choices, const: only }) => (type === "boolean" ? ["false", "true"] : choices ?? [only])) };
}

/** Split a text into strings and <code> elements at its backticks. */
function withCode(sentence) {
  return sentence.split("`").map((part, index) => (index % 2 ? make("code", { textContent: part }) : part));
}

/** mayBeAbsent: whether the field can be left empty, so that the service chooses. */
function controlFor(name, { type, enum: choices, minimum, maximum }, mayBeAbsent) {
  if (choices) {
    const offered = mayBeAbsent ? ["", ...choices] : choices;
    return make("select", {}, ...offered.map((choice) => make("option", { value: choice, textContent: word(name, choice) })));
  }
  if (type === "boolean") return make("input", { type: "checkbox" });
  if (type !== "integer" && type !== "number") return null;
  return make("input", { type: "number", min: minimum ?? "", max: maximum ?? "", step: type === "integer" ? 1 : "any" });
}

/** Return what a choice of an option is called; "" stands for leaving it to the service. */
const word = (name, choice) => textOr(`option.${name}.value.${choice || "absent"}`, choice || text("option.automatic"));

function range({ minimum, maximum }) {
  return minimum === undefined || maximum === undefined ? "" : text("option.range", { from: minimum, to: maximum });
}
