// Format numbers and names for people.

const counts = new Intl.NumberFormat("en");

export const count = (value) => counts.format(value);

export const percent = (share) => `${(share * 100).toFixed(1)}%`;

export const megabytes = (bytes) => (bytes < 100_000 ? `${Math.ceil(bytes / 1000)}\u00a0kB` : `${counts.format((bytes / 1e6).toFixed(2))}\u00a0MB`);

export const seconds = (value) => (value < 10 ? `${value.toFixed(1)}\u00a0s` : `${Math.round(value)}\u00a0s`);

/** Turn a field's name into a label: "target_faces" → "Target faces". */
export function label(name) {
  const text = name.replaceAll("_", " ");
  return text[0].toUpperCase() + text.slice(1);
}

export const STAGES = new Map([
  ["decode", "Reading the photo"],
  ["mask", "Finding the object"],
  ["reconstruct", "Building the shape"],
  ["export", "Making the texture"],
]);
