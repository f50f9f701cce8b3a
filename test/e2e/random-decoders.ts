/** Models whose words mean nothing, each with a template of another form for calls of tools. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { writeRandomDecoder } from "../catalog/random-decoder.ts";

const chats = path.resolve(import.meta.dirname, "../tokenizer/made/chat");
const templateOf = (name: string) => readFileSync(path.join(chats, `${name}.jinja`), "utf8");
const plainTemplate = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}";

const templates = {
  "random-qwen": templateOf("qwen-tools"),
  "random-llama": templateOf("llama-tools"),
  "random-mistral": templateOf("mistral-tools"),
  // Takes no tools.
  "random-plain": plainTemplate,
};

export const randomCallers = Object.keys(templates);
/** Its answers hang on every letter of what it is asked. */
export const randomWriter = "random-writer";

/** @param models the folder that the worker serves models of */
export async function placeRandomDecoders(models: string): Promise<void> {
  for (const [name, template] of Object.entries({ ...templates, [randomWriter]: plainTemplate })) {
    await writeRandomDecoder(path.join(models, name), template);
  }
}
