/** `npm run example` lists the samples beside this file; `npm run example -- NAME` runs one on a running stack. */
import { readdirSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";

const folder = import.meta.dirname;
const names = readdirSync(folder)
  .filter((file) => file.endsWith(".ts") && file !== path.basename(import.meta.filename))
  .map((file) => path.basename(file, ".ts"));
const [name] = process.argv.slice(2);

if (name === undefined) {
  console.log("npm run example -- NAME, on a stack that runs (npm start), where NAME is one of:");
  for (const each of names) console.log(`  ${each}`);
} else if (names.includes(name)) {
  try {
    await import(pathToFileURL(path.join(folder, `${name}.ts`)).href);
  } catch (error) {
    console.error(`${String(error)}\nIs a stack running (npm start), or named in LLM_OS_URL?`);
    process.exitCode = 1;
  }
} else {
  console.error(`no sample is called ${name}: one of ${names.join(", ")}`);
  process.exitCode = 1;
}
