// Usage: node tangents.mjs FILE
// FILE holds float32 numbers: the positions (3), normals (3) and texture coordinates (2) of each corner of each triangle.
// Prints the tangents (4) of the corners as a JSON array. v grows upwards.

import { readFile } from "node:fs/promises";
import mikktspace from "mikktspace";

const bytes = await readFile(process.argv[2]);
const numbers = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
const count = numbers.length / 8;
const [positions, normals, uv] = [0, 3 * count, 6 * count].map((start, index) =>
  numbers.slice(start, start + [3, 3, 2][index] * count),
);
console.log(JSON.stringify(Array.from(mikktspace.generateTangents(positions, normals, uv))));
