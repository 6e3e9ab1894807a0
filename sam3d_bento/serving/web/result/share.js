// Ways to pass a result on: its link, a QR code, augmented reality on a phone, and a snippet for other pages.

import * as api from "../common/api.js";
import { byId, make } from "../common/dom.js";
import { text } from "../common/texts.js";
import { generate } from "../vendor/lean-qr.js";

const QUIET = 4; // modules of white around a QR code (ISO/IEC 18004)
const MODEL_VIEWER = "https://ajax.googleapis.com/ajax/libs/model-viewer/4.4.0/model-viewer.min.js";

/** Offer all ways. result: as of `api.describe`. */
export function showSharing(result) {
  drawCode(byId("qr"), result.page);
  byId("embed").value = snippet(result);
  copyAt("copy-link", result.page);
  copyAt("copy-embed", byId("embed").value);
  offerRoom(result);
}

function drawCode(svg, address) {
  const code = generate(address);
  const side = code.size + 2 * QUIET;
  svg.setAttribute("viewBox", `${-QUIET} ${-QUIET} ${side} ${side}`);
  const path = document.createElementNS(svg.namespaceURI, "path");
  let modules = "";
  for (let y = 0; y < code.size; y += 1) {
    for (let x = 0; x < code.size; x += 1) if (code.get(x, y)) modules += `M${x} ${y}h1v1h-1z`;
  }
  path.setAttribute("d", modules);
  svg.replaceChildren(path);
}

/** Return the HTML that shows the model on another page. */
function snippet({ name, files }) {
  const quoted = (words) => words.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");
  const forPhones = files.usdz ? ` ios-src="${files.usdz.url}"` : "";
  return `<script type="module" src="${MODEL_VIEWER}"></script>
<model-viewer src="${files.glb.url}"${forPhones}
  poster="${files.glb.url.replace(/\.glb$/, ".webp")}" alt="${quoted(name)}"
  ar camera-controls shadow-intensity="1"></model-viewer>`;
}

/** Offer augmented reality where this device has it: Quick Look on iPhones, Scene Viewer on Android. */
function offerRoom({ id, name, page, files }) {
  const link = byId("ar");
  const words = text("result.see_in_room");
  if (files.usdz && link.relList.supports("ar")) {
    link.rel = "ar";
    link.href = files.usdz.url;
    // Quick Look opens at once only from a link with a picture in it.
    link.append(make("img", { src: api.thumbnailUrl(id), alt: "", width: 28, height: 28 }), words);
  } else if (/Android/.test(navigator.userAgent)) {
    const query = new URLSearchParams({ file: files.glb.url, mode: "ar_preferred", title: name, link: page });
    link.href = `intent://arvr.google.com/scene-viewer/1.2?${query}#Intent;scheme=https;package=com.google.android.googlequicksearchbox;action=android.intent.action.VIEW;S.browser_fallback_url=${encodeURIComponent(page)};end;`;
    link.append(words);
  } else return;
  link.hidden = false;
}

function copyAt(id, words) {
  byId(id).addEventListener("click", async () => {
    const copied = await navigator.clipboard?.writeText(words).then(() => true, () => false);
    byId("share-status").textContent = copied ? text("result.copied") : words; // without leave, or without HTTPS, it can be copied by hand
  });
}
