// Usage: node validate.mjs FILE...
// Prints one JSON array: for each file its counts of errors, warnings, infos and hints, and the messages.
// Exits with 1 when a file has an error.

import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { validateBytes } from "gltf-validator";

const reports = [];
for (const file of process.argv.slice(2)) {
  const { issues } = await validateBytes(new Uint8Array(await readFile(file)), { uri: basename(file), maxIssues: 0 });
  reports.push({
    file: basename(file),
    errors: issues.numErrors,
    warnings: issues.numWarnings,
    infos: issues.numInfos,
    hints: issues.numHints,
    messages: issues.messages,
  });
}
console.log(JSON.stringify(reports, null, 2));
process.exitCode = reports.some((report) => report.errors > 0) ? 1 : 0;
