// The downloads of a result, by purpose: for the web, games, printing, robots; and each format by itself.

import * as api from "../common/api.js";
import { byId, make } from "../common/dom.js";
import { megabytes } from "../common/format.js";
import { chosenFormatOptions, chosenHeight } from "../run/options_form.js";
import { retryWhileBusy } from "../common/retry.js";
import { save } from "../common/saving.js";
import { text } from "../common/texts.js";

// What each purpose offers: the fields of an export, `format` among them.
const PURPOSES = {
  web: [{ format: "web" }],
  game: [{ format: "glb", preset: "game" }, { format: "glb-lods", preset: "game" }],
  print: [{ format: "3mf" }, { format: "stl" }],
  robot: [{ format: "urdf" }, { format: "mjcf" }],
  splats: [{ format: "ply-splats" }, { format: "splats-glb" }],
};
const KIND_NAMES = { web: "ZIP", "glb-lods": "LODs" }; // where the name of the format in capitals says too little
const NEED_HEIGHT = ["urdf", "mjcf"]; // formats of models whose size is known

// About how large a file is that is not made yet, from the bytes of the GLB and the number of faces. Measured on two
// results of the samples without a normal map; most of a file is its texture, which is a PNG in the GLB and in these.
const ABOUT = {
  obj: (glb, faces) => glb + 5 * faces,
  stl: (glb, faces) => 84 + 50 * faces,
  ply: (glb, faces) => 27 * faces,
  usdz: (glb) => glb,
  urdf: (glb, faces) => glb + 5 * faces,
  mjcf: (glb, faces) => glb + 5 * faces,
  "3mf": (glb, faces) => 31 * faces,
  web: (glb) => 1.1 * glb,
};

/**
 * Show the downloads of a result; none if it is null. result: as of `api.describe`. report: on the result.
 * formats: as in /api/options; empty where it is not known. others: elements beside the GLB's link.
 */
export function showDownloads(result, report, formats = {}, ...others) {
  showStatus("");
  if (!result) {
    byId("downloads").replaceChildren();
    return;
  }
  const offer = { result, report, formats };
  const purposes = Object.entries(PURPOSES).map(([name, orders]) => purpose(name, orders.filter((order) => isGiven(order, offer)), offer));
  const single = Object.keys(result.files).map((format) => button({ format }, offer));
  const list = make("ul", { className: "purposes-list" }, ...purposes.filter(Boolean));
  const all = make("div", { className: "purpose single" }, make("strong", { textContent: text("download.single") }), make("p", { className: "buttons" }, ...single));
  const first = make("p", { className: "buttons" }, glbLink(offer), ...others);
  byId("downloads").replaceChildren(first, make("details", { id: "download-menu", className: "options" }, make("summary", { textContent: text("download.more") }), list, all));
}

/** Return whether this result can be had so. A preset other than the result's own needs its reconstruction. */
function isGiven({ format, preset }, { result }) {
  return format in result.files && (!preset || result.exportable);
}

function purpose(name, orders, offer) {
  if (!orders.length) return null;
  return make("li", { className: "purpose" },
    make("strong", { textContent: text(`download.${name}`) }),
    make("small", { textContent: text(`download.${name}.what`) }),
    make("p", { className: "buttons" }, ...orders.map((order) => button(order, offer))));
}

function glbLink(offer) {
  const { result, formats } = offer;
  const link = make("a", { className: "button primary", id: "download", href: api.assetUrl(result.id), download: "" }); // the service names it
  link.append(text("download.glb"), " ", make("small", { textContent: megabytes(result.files.glb.bytes) }));
  link.addEventListener("click", (event) => {
    const chosen = choices("glb", formats);
    if (!Object.keys(chosen).length) return; // the link gives the stored file
    event.preventDefault();
    deliver({ format: "glb", ...chosen }, offer, link);
  });
  return link;
}

function button(order, offer) {
  const found = make("button", { type: "button" }, kindName(order), " ", make("small", { textContent: sizeOf(order, offer) }));
  found.dataset.format = order.format;
  found.addEventListener("click", () => deliver({ ...order, ...choices(order.format, offer.formats) }, offer, found));
  return found;
}

/** Return the height and the options that were chosen for a file. */
const choices = (format, formats) => ({ ...chosenHeight(), ...chosenFormatOptions(formats[format]?.options ?? {}) });

/** Return the size of a file as a text: exact where it is made, "about" where it is not, nothing where that is not known. */
function sizeOf({ format, preset }, { result, report }) {
  const { bytes } = result.files[format];
  if (preset) return "";
  if (bytes !== null) return megabytes(bytes);
  const { compress, texture_format: texture, normal_map: normals } = report.options ?? { compress: true };
  if (compress || texture !== "png" || normals || !ABOUT[format]) return "";
  return text("download.about", { size: megabytes(ABOUT[format](result.files.glb.bytes, report.faces)) });
}

const kindName = ({ format }) => KIND_NAMES[format] ?? format.toUpperCase().replace("-", " ");

/** Return whether an order is for a format as the result's link gives it. */
const isPlain = (order) => Object.keys(order).length === 1;

/** Let the service make the file, which may take seconds, and save it. */
async function deliver(order, { result, report }, pressed) {
  const hasSize = "height" in order || report.scale?.source !== "unit";
  if (NEED_HEIGHT.includes(order.format) && !hasSize) {
    showStatus(text("download.say_height"));
    byId("tall").focus();
    return;
  }
  if (pressed.getAttribute("aria-busy") === "true") return;
  pressed.setAttribute("aria-busy", "true");
  const kind = kindName(order);
  showStatus(text("download.making", { kind }));
  try {
    const { blob, name } = await retryWhileBusy(
      () => (isPlain(order) ? api.file(result, order.format) : api.exportAs(result.id, order)),
      (problem, left) => showStatus(text("download.waiting", { message: problem.message, seconds: left })),
    );
    save(blob, name);
    showStatus(text("download.made", { kind, size: megabytes(blob.size) }));
  } catch (problem) {
    showStatus(problem.message);
    // A bucket may not let this page read the file, but the browser may still save it from there.
    if (problem.code === "unreachable" && isPlain(order)) make("a", { href: api.fileUrl(result.files[order.format].url), download: "" }).click();
  }
  pressed.removeAttribute("aria-busy");
}

function showStatus(words) {
  byId("download-status").textContent = words;
}
