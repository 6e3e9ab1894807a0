// Usage: npm ci && node build.mjs [FOLDER]
// Writes meshoptimizer's simplifier as WebAssembly, and its licence, to FOLDER, else to where the exporter has them.
// The module of the npm package holds the program as text; this takes it where that module hands it to WebAssembly.

import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { resolve } from "node:path";

const here = import.meta.dirname;
const folder = process.argv[2] ? resolve(process.argv[2]) : resolve(here, "../../sam3d_bento/export/mesh");

const instantiate = WebAssembly.instantiate;
let program;
WebAssembly.instantiate = (bytes, imports) => {
  program = new Uint8Array(bytes);
  return instantiate(bytes, imports);
};
const { MeshoptSimplifier } = await import("meshoptimizer/simplifier");
await MeshoptSimplifier.ready;

await mkdir(folder, { recursive: true });
await writeFile(resolve(folder, "meshopt_simplifier.wasm"), program);
await copyFile(resolve(here, "node_modules/meshoptimizer/LICENSE.md"), resolve(folder, "meshopt_simplifier.LICENSE.txt"));
console.log("done");
