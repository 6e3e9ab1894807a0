// Usage: npm ci --ignore-scripts && node build.mjs [FOLDER]
// Writes lean-qr.js and lean-qr.LICENSE.txt to FOLDER, else to where the studio has them. Equal versions give equal
// bytes.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { resolve } from "node:path";

const here = import.meta.dirname;
const folder = process.argv[2] ? resolve(process.argv[2]) : resolve(here, "../../sam3d_bento/serving/web/vendor");
const source = resolve(here, "node_modules/lean-qr");
const read = (name) => readFile(`${source}/${name}`, "utf8");

const { version } = JSON.parse(await read("package.json"));
const banner = `// lean-qr ${version}, copied by tools/vendor_lean_qr. MIT: see lean-qr.LICENSE.txt\n`;

await mkdir(folder, { recursive: true });
await writeFile(`${folder}/lean-qr.js`, banner + (await read("index.mjs")));
await writeFile(`${folder}/lean-qr.LICENSE.txt`, await read("LICENSE"));
