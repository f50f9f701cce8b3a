/** How a base reads texts, to tell how long examples are for it. */
import { decoderTokenizerFiles } from "../checkpoints/decoder-checkpoint.ts";
import { isAdapter, readModelFolder } from "../checkpoints/model-folder.ts";
import type { TokenRules } from "../datasets/token-counter.ts";
import { loadTokenizer, makeTokenizer } from "../tokenizer/tokenizer.ts";

/** @throws Error where it is no model of its own, or its files cannot be read */
export async function readTokenRules(id: string, folder: string): Promise<TokenRules> {
  const model = await readModelFolder(folder);
  if (isAdapter(model)) {
    throw new Error(`${id} is an adapter: name its base, ${model.adapter.baseName}`);
  }
  const tokenizer =
    model.kind === "decoder"
      ? await makeTokenizer(await decoderTokenizerFiles(model))
      : await loadTokenizer(folder, model);
  return { tokenizer, tokensMax: model.limits.maxTokens };
}
