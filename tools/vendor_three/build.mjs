// Usage: npm ci && node build.mjs [FOLDER]
// Writes three.js and three.LICENSE.txt to FOLDER, else to where the studio has them. Equal versions give equal bytes.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { build } from "esbuild";

const here = import.meta.dirname;
const folder = process.argv[2] ? resolve(process.argv[2]) : resolve(here, "../../sam3d_bento/serving/web/vendor");
const three = resolve(here, "node_modules/three");

const { version } = JSON.parse(await readFile(`${three}/package.json`, "utf8"));
const decoder = await readFile(`${three}/examples/jsm/libs/meshopt_decoder.module.js`, "utf8");
const [notice] = decoder.match(/Copyright .*/);

await mkdir(folder, { recursive: true });
await build({
  absWorkingDir: here, // else the names of this machine's folders would be in the file
  entryPoints: ["entry.mjs"],
  outfile: `${folder}/three.js`,
  bundle: true,
  format: "esm",
  minify: true,
  target: "es2022",
  legalComments: "inline",
  banner: { js: `// three.js ${version} and its meshopt decoder, bundled by tools/vendor_three. MIT: see three.LICENSE.txt` },
});
await writeFile(
  `${folder}/three.LICENSE.txt`,
  `${await readFile(`${three}/LICENSE`, "utf8")}
The meshopt decoder in the same file, under the same terms:
${notice}
`,
);
