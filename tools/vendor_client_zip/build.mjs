// Usage: npm ci --ignore-scripts && node build.mjs [FOLDER]
// Writes client-zip.js and client-zip.LICENSE.txt to FOLDER, else to where the studio has them. Equal versions give equal
// bytes.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { resolve } from "node:path";

const here = import.meta.dirname;
const folder = process.argv[2] ? resolve(process.argv[2]) : resolve(here, "../../sam3d_bento/serving/web/vendor");
const source = resolve(here, "node_modules/client-zip");
const read = (name) => readFile(`${source}/${name}`, "utf8");

const { version } = JSON.parse(await read("package.json"));
const banner = `// client-zip ${version}, copied by tools/vendor_client_zip. MIT: see client-zip.LICENSE.txt\n`;

await mkdir(folder, { recursive: true });
await writeFile(`${folder}/client-zip.js`, banner + (await read("index.js")));
await writeFile(`${folder}/client-zip.LICENSE.txt`, await read("LICENSE.txt"));
