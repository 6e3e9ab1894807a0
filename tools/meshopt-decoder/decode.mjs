// Usage: node decode.mjs MODEL.glb FOLDER
// Writes what each packed bufferView of the model holds to FOLDER/<number>.bin.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { MeshoptDecoder } from "meshoptimizer";

const [model, folder] = process.argv.slice(2);
const glb = await readFile(model);
const length = glb.readUInt32LE(12);
const { bufferViews } = JSON.parse(glb.subarray(20, 20 + length).toString());
const binary = glb.subarray(28 + length);

await MeshoptDecoder.ready;
for (const [number, view] of bufferViews.entries()) {
  const packed = view.extensions?.EXT_meshopt_compression;
  if (!packed) continue;
  const content = new Uint8Array(packed.count * packed.byteStride);
  const source = binary.subarray(packed.byteOffset, packed.byteOffset + packed.byteLength);
  MeshoptDecoder.decodeGltfBuffer(content, packed.count, packed.byteStride, source, packed.mode, packed.filter);
  await writeFile(join(folder, `${number}.bin`), content);
}
console.log("done");
