// The icons of buttons: lines in a square of 24 units.

const PATHS = {
  camera: "M4 8h3l2-3h6l2 3h3v11H4zM12 10a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7z",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  film: "M4 6h11v12H4zM15 10l5-3v10l-5-3z",
  frame: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  fullscreen: "M4 9V4h5M20 15v5h-5M4 4l6 6M20 20l-6-6",
  grid: "M4 9h16M4 15h16M9 4v16M15 4v16M4 4h16v16H4z",
  minus: "M5 12h14",
  plus: "M12 5v14M5 12h14",
  photo: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 8.2a1.2 1.2 0 1 0 0 2.4 1.2 1.2 0 0 0 0-2.4z",
  reset: "M5 12a7 7 0 1 1 2 5M5 12l-2-2.5M5 12l3-2",
  rotate: "M12 5c4.4 0 8 1.6 8 3.5S16.4 12 12 12s-8-1.6-8-3.5S7.6 5 12 5zM4 8.5V15c0 1.9 3.6 3.5 8 3.5M12 18.5l-2.5-2M12 18.5l-2.5 2",
};

const SVG = "http://www.w3.org/2000/svg";

/** Return an icon as an element that screen readers skip. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}
