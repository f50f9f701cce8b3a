/**
 * How a classifier of one label scores a query and a text, as sentence-transformers' CrossEncoder would: what its files
 * say of the function after the logit and of a text before the query, in the places that its versions wrote them.
 */
import * as z from "zod";
import { type CrossEncoder, scoreActivations } from "../model/cross-encoder.ts";
import type { ConfigFile } from "./checkpoint-files.ts";
import { defaultPromptOf, promptsOf, readSentenceFile } from "./sentence-stages.ts";
import { torchActivation } from "./torch-activation.ts";

const OlderPlaces = z.looseObject({
  sentence_transformers: z.looseObject({ activation_fn: z.string().nullish() }).nullish(),
  sbert_ce_default_activation_function: z.string().nullish(),
});

/** Where no file names one. */
const usual = "torch.nn.modules.activation.Sigmoid";

/** @throws Error for an activation function that is not served */
export async function readCrossEncoder(folder: string, config: ConfigFile): Promise<CrossEncoder> {
  const file = await readSentenceFile(folder);
  const older = OlderPlaces.safeParse(config).data;
  const path =
    file.activation_fn ??
    older?.sentence_transformers?.activation_fn ??
    older?.sbert_ce_default_activation_function ??
    usual;
  const named = torchActivation(path, "the cross-encoder");
  const activation = scoreActivations.find((each) => each === named);
  if (activation === undefined) {
    throw new Error(`the activation function ${path} of the cross-encoder is not served`);
  }
  const prompts = promptsOf(file);
  return { activation, prompt: prompts[defaultPromptOf(file, prompts) ?? ""] ?? "" };
}
