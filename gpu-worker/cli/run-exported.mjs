// node run.mjs "A text." '["A text.", "and its second"]' '[{"role": "user", "content": "Hello!"}]'
// MAX_TOKENS=64 has a model that writes write fewer tokens. The first line of model.mjs says what to install.
import process from "node:process";
import { openModel } from "./model.mjs";

const answer = await openModel();
const maxTokens = Number(process.env.MAX_TOKENS ?? 256);

for (const argument of process.argv.slice(2)) {
  const input = argument.startsWith("[") ? JSON.parse(argument) : argument;
  console.log(JSON.stringify(await answer(input, { maxTokens })));
}
