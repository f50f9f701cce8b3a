/** Adds to vocabularies.json the ids of llama.cpp: see make_vocabularies.py. */
import { readFileSync, writeFileSync } from "node:fs";
import { getLlama } from "node-llama-cpp";

const folder = process.argv[2];
const file = new URL("vocabularies.json", import.meta.url);
const made = JSON.parse(readFileSync(file, "utf8"));
const llama = await getLlama({ build: "never", gpu: false, logLevel: "disabled" });
for (const [name, row] of Object.entries(made.cases)) {
  const model = await llama.loadModel({ modelPath: `${folder}/${name}.gguf`, vocabOnly: true });
  row.llamaCpp = made.texts.map((text) => [...model.tokenize(text, true)]);
}
writeFileSync(file, `${JSON.stringify(made)}\n`);
process.exit();
