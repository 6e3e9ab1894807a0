// The looks of a model: materials that show it lit, unlit, by its normals, as a wireframe, or by its texture coordinates.

import {
  CanvasTexture, LineBasicMaterial, LineSegments, MeshBasicMaterial, MeshNormalMaterial, SRGBColorSpace, WireframeGeometry,
} from "../vendor/three.js";

export const LOOKS = ["lit", "unlit", "normals", "wireframe", "uv"];

const CLAY = 0xdfe3e0; // colour of the surface below a wireframe
const CHECKS = 16; // fields of the chart of texture coordinates along each side
const CHECK_PIXELS = 64; // side of one field

const MAKE = {
  unlit: ({ map, side }) => new MeshBasicMaterial({ map, side, toneMapped: false }),
  normals: ({ normalMap, normalScale, side }) => new MeshNormalMaterial({ normalMap, normalScale, side }),
  wireframe: (lit) => {
    const clay = lit.clone();
    Object.assign(clay, { map: null, normalMap: null, polygonOffset: true, polygonOffsetFactor: 1, polygonOffsetUnits: 1 });
    clay.color.setHex(CLAY);
    return clay;
  },
  uv: ({ side }) => new MeshBasicMaterial({ map: checks(), side, toneMapped: false }),
};

/** Prepare a mesh that was just loaded: it is lit, and other looks are made when they are first shown. */
export function prepare(mesh) {
  mesh.userData.looks = { lit: mesh.material };
}

/** Show the mesh in one of LOOKS. */
export function show(mesh, look) {
  const { looks } = mesh.userData;
  looks[look] ??= MAKE[look](looks.lit);
  mesh.material = looks[look];
  if (look === "wireframe") mesh.userData.wires ??= wiresOf(mesh);
  if (mesh.userData.wires) mesh.userData.wires.visible = look === "wireframe";
}

/** Return the image of the mesh's texture; null if it has none. */
export const textureOf = (mesh) => mesh.userData.looks.lit.map?.image ?? null;

/** Free the memory of the mesh and of its looks. */
export function discard({ geometry, userData }) {
  geometry.dispose();
  userData.wires?.geometry.dispose();
  userData.wires?.material.dispose();
  for (const [look, material] of Object.entries(userData.looks)) {
    if (look === "lit") for (const map of [material.map, material.normalMap]) map?.dispose();
    material.dispose();
  }
}

function wiresOf(mesh) {
  const colour = new LineBasicMaterial({ color: 0x0b6b5d, transparent: true, opacity: 0.6, toneMapped: false });
  const wires = new LineSegments(new WireframeGeometry(mesh.geometry), colour);
  mesh.add(wires);
  return wires;
}

let chart = null; // texture of `checks`, shared by all models

/** Return a chart for texture coordinates: fields that differ in colour across and in brightness down. */
function checks() {
  if (chart) return chart;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = CHECKS * CHECK_PIXELS;
  const context = canvas.getContext("2d");
  for (let row = 0; row < CHECKS; row += 1) {
    for (let column = 0; column < CHECKS; column += 1) {
      const light = ((row + column) % 2 ? 70 : 52) - 1.5 * row + 10;
      context.fillStyle = `hsl(${(360 * column) / CHECKS} 55% ${light}%)`;
      context.fillRect(column * CHECK_PIXELS, row * CHECK_PIXELS, CHECK_PIXELS, CHECK_PIXELS);
    }
  }
  chart = new CanvasTexture(canvas);
  chart.colorSpace = SRGBColorSpace;
  chart.flipY = false; // as in glTF
  return chart;
}
