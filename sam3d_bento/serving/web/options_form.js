// Build the forms of options from the schemas in /api/options: choices, ranges, defaults. No option is known by name.
// One form is for the run, the other for downloads in other formats.

import { byId, make } from "./dom.js";
import { label } from "./format.js";
import { text } from "./texts.js";

// Not offered among the options: the page itself decides how the result is delivered, asks for the height beside the
// photo, and sends no point map. A candidate goes with a point or a box, which the page cannot take yet.
const ELSEWHERE = ["response", "height", "pointmap_frame", "candidate"];
const CENTIMETRES_PER_METRE = 100;
const CHOICES = { false: text("option.no"), true: text("option.yes") };

/** presets: the options that each value of the option `preset` stands for, as in /api/options. */
export function showOptions(schemas, presets) {
  const others = Object.keys(schemas).filter((name) => ![...ELSEWHERE, "preset"].includes(name));
  byId("options").replaceChildren(...["preset", ...others].map((name) => field(name, schemas[name])).filter(Boolean));
  const preset = optionControl("preset");
  preset.addEventListener("change", () => showPreset(presets, presets[preset.value] ?? {}));
}

/** Show the values of a preset, and the defaults of what other presets change. Each can be changed afterwards. */
function showPreset(presets, values) {
  for (const name of new Set(Object.values(presets).flatMap(Object.keys))) {
    const control = optionControl(name);
    if (control) control.value = String(values[name] ?? control.dataset.default);
  }
}

const optionControl = (name) => byId("options").querySelector(`[name="${name}"]`);

/** Return the options that differ from their defaults. The preset is not among them: its values are in the form. */
export function chosenOptions() {
  const { preset, ...chosen } = chosenIn("options");
  return chosen;
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
  byId("format-options-box").hidden = schemas.size === 0;
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

function chosenIn(id) {
  const chosen = {};
  for (const control of byId(id).querySelectorAll("[name]")) {
    const value = control.type === "checkbox" ? String(control.checked) : control.value;
    if (value !== control.dataset.default) chosen[control.name] = value;
  }
  return chosen;
}

/** Clear one option, so that the service chooses its value. */
export function leaveToService(name) {
  const control = optionControl(name);
  if (control) control.value = "";
}

function field(name, schema) {
  const kind = kindOf(schema);
  const control = controlFor(kind, schema.default === null);
  if (!control) return null;
  const initial = schema.default ?? "";
  if (control.type === "checkbox") control.checked = initial === true;
  else control.value = String(initial);
  Object.assign(control, { name, id: `option-${name}` });
  control.dataset.default = String(initial);
  const help = make("small", { id: `help-${name}` }, ...withCode([schema.description, range(kind)].filter(Boolean).join(" ")));
  control.setAttribute("aria-describedby", help.id);
  const takers = schema.takers ? ` (${schema.takers.join(", ").toUpperCase()})` : "";
  return make("div", { className: "field" }, make("label", { htmlFor: control.id, textContent: label(name) + takers }), control, help);
}

/** Merge the alternatives (`anyOf`) of a schema: drop null, and turn a boolean beside strings into choices. */
function kindOf(schema) {
  const kinds = schema.anyOf?.filter(({ type }) => type !== "null") ?? [schema];
  if (kinds.length === 1) return kinds[0];
  return { enum: kinds.flatMap(({ type, enum: choices, const: only }) => (type === "boolean" ? ["false", "true"] : choices ?? [only])) };
}

/** Split a text into strings and <code> elements at its backticks. */
function withCode(text) {
  return text.split("`").map((part, index) => (index % 2 ? make("code", { textContent: part }) : part));
}

/** mayBeAbsent: whether the field can be left empty, so that the service chooses. */
function controlFor({ type, enum: choices, minimum, maximum }, mayBeAbsent) {
  if (choices) {
    const named = choices.map((choice) => make("option", { value: choice, textContent: CHOICES[choice] ?? choice }));
    return make("select", {}, ...(mayBeAbsent ? [make("option", { value: "", textContent: text("option.service_chooses") })] : []), ...named);
  }
  if (type === "boolean") return make("input", { type: "checkbox" });
  if (type !== "integer" && type !== "number") return null;
  return make("input", { type: "number", min: minimum ?? "", max: maximum ?? "", step: type === "integer" ? 1 : "any" });
}

function range({ minimum, maximum }) {
  return minimum === undefined || maximum === undefined ? "" : text("option.range", { from: minimum, to: maximum });
}
