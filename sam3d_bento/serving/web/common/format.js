// Format numbers and names for people.

import { text } from "./texts.js";

const { lang } = document.documentElement;
const counts = new Intl.NumberFormat(lang);
const numbers = new Intl.NumberFormat(lang, { maximumFractionDigits: 6 }); // a length in metres: to the micrometre
const shares = new Intl.NumberFormat(lang, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const tenths = new Intl.NumberFormat(lang, { minimumFractionDigits: 1, maximumFractionDigits: 1 });

export const count = (value) => counts.format(value);

export const number = (value) => numbers.format(value);

export const percent = (share) => shares.format(share);

export const megabytes = (bytes) => (bytes < 100_000 ? `${Math.ceil(bytes / 1000)}\u00a0kB` : `${counts.format((bytes / 1e6).toFixed(2))}\u00a0MB`);

export const seconds = (value) => (value < 10 ? `${tenths.format(value)}\u00a0s` : `${Math.round(value)}\u00a0s`);

/** Turn a field's name into a label: "target_faces" → "Target faces". */
export function label(name) {
  const text = name.replaceAll("_", " ");
  return text[0].toUpperCase() + text.slice(1);
}

/** The stages of a run, by the service's names, in their order. */
export const STAGES = new Map(["decode", "mask", "reconstruct", "export"].map((stage) => [stage, text(`progress.${stage}`)]));
