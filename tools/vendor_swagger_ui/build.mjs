// Usage: npm ci --ignore-scripts && node build.mjs [FOLDER]
// Writes swagger-ui.js, swagger-ui.css and swagger-ui.LICENSE.txt to FOLDER, else to where the service has them. Equal
// versions give equal bytes. (--ignore-scripts: a dependency would report the installation to its maker.)

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { resolve } from "node:path";

const here = import.meta.dirname;
const folder = process.argv[2] ? resolve(process.argv[2]) : resolve(here, "../../sam3d_bento/serving/web/vendor");
const source = resolve(here, "node_modules/swagger-ui-dist");
const read = (name) => readFile(`${source}/${name}`, "utf8");

const { version } = JSON.parse(await read("package.json"));
const banner = `/* Swagger UI ${version}, copied by tools/vendor_swagger_ui. Apache-2.0: see swagger-ui.LICENSE.txt */\n`;
// The maps of the sources are not shipped.
const withoutMap = (text) => text.replace(/\n?(\/\/|\/\*)# sourceMappingURL=.*\s*$/, "\n");

await mkdir(folder, { recursive: true });
await writeFile(`${folder}/swagger-ui.js`, banner + withoutMap(await read("swagger-ui-bundle.js")));
await writeFile(`${folder}/swagger-ui.css`, banner + withoutMap(await read("swagger-ui.css")));
await writeFile(
  `${folder}/swagger-ui.LICENSE.txt`,
  `${await read("NOTICE")}
${await read("LICENSE")}
The packages in the same file:

${await read("swagger-ui-bundle.js.LICENSE.txt")}`,
);
