/**
 * Which form a decoder is computed in: pinned by the operator, or the one whose steps are fastest on this machine of
 * those that are accurate enough for this model. Measured when the model is first loaded, and kept in
 * `STATE/decoder-forms.json` by model and machine.
 */
import path from "node:path";
import * as z from "zod";
import { type DecoderForm, decoderForms, type KvCacheForm } from "../architectures/decoder-form.ts";
import type { DecoderCheckpoint } from "../checkpoints/decoder-checkpoint.ts";
import type { FilesDigest } from "../checkpoints/model-digest.ts";
import { JsonStore } from "../files/json-store.ts";
import { nextTokens, wholeText } from "../model/decoder-feeds.ts";
import type { Provider, Session } from "../runtime/session.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import {
  DecoderFigures,
  isAccurateDecoder,
  measureDecoders,
  shippedFigures,
} from "./decoder-accuracy.ts";
import { decoderSamples } from "./decoder-samples.ts";
import { fewestRows } from "./fewest-rows.ts";
import type { FormSetting } from "./form-choice.ts";

const Kept = z.object({
  form: z.enum(["f32", "f16", "int8", "int8-rotated", "int4"]),
  /** Of a step of one text, of one of eight, and of a piece of a prompt, together. */
  milliseconds: z.record(z.string(), z.number()),
  figures: z.record(z.string(), DecoderFigures),
});

export type DecoderFormsOptions = {
  setting: FormSetting;
  provider: Provider;
  /** What keys and values are kept in. */
  kvCache: KvCacheForm;
  stateFolder: string;
  /** Machines of one name measure alike. */
  machine: string;
  /** Of what builds the graphs: figures hold for its graphs alone. */
  builderVersion: number;
  /** Milliseconds of a monotonic clock. */
  now(): number;
  log: {
    info: (fields: object, message: string) => void;
    warn: (fields: object, message: string) => void;
  };
};

/** What tells in which forms it can be computed. */
type Computable = Pick<DecoderCheckpoint, "format" | "rotates">;

export type MeasuredDecoder = {
  id: string;
  checkpoint: Computable & Pick<DecoderCheckpoint, "limits">;
  files: FilesDigest;
  tokenizer: Tokenizer;
  open(form: DecoderForm): Promise<Session>;
  /** Told of the forms that turned out to be of no use. */
  discard(form: DecoderForm): Promise<void>;
};

/** Texts that are written side by side while steps are timed. */
const textsTimed = [1, 8];
/** Short, since keys and values that are not bound are copied. */
const pastTimed = 16;
/** Tokens of a prompt that is read. */
const promptTimed = 32;
/** The best of so many: other processes only make a step slower. */
const repeats = 10;

export class DecoderForms {
  readonly #options: DecoderFormsOptions;
  readonly #store: JsonStore<z.infer<typeof Kept>>;

  constructor(options: DecoderFormsOptions) {
    this.#options = options;
    this.#store = new JsonStore(path.join(options.stateFolder, "decoder-forms.json"), Kept);
  }

  /**
   * Those to choose from here, f32 first where it is one, and last the smallest. Only where a file has 4-bit weights is
   * there a 4-bit form of its own.
   * @throws Error for a form that is set and not computed here, or not of this decoder
   */
  candidates({ format, rotates }: Computable): DecoderForm[] {
    const { setting, provider, kvCache } = this.#options;
    if (setting === "auto") {
      if (provider === "cuda") return ["f16"];
      // Beside keys and values in int8 it strayed further than a form may (SmolLM2: a divergence of 0.0067).
      const rotated: DecoderForm[] = rotates && kvCache === "float" ? ["int8-rotated"] : [];
      return ["f32", ...rotated, "int8", ...(format === "gguf" ? (["int4"] as const) : [])];
    }
    if (decoderForms[setting].rotated && !rotates) {
      throw new Error(
        `LLM_OS_FORM is ${setting}, and the norms of this decoder allow no rotation: set int8, or auto`,
      );
    }
    if (decoderForms[setting].provider === provider) return [setting];
    const other = provider === "cuda" ? "f16" : "f32, int8, int8-rotated or int4";
    throw new Error(
      `LLM_OS_FORM is ${setting}, and decoders are computed in ${other} here: set that, or auto`,
    );
  }

  /** Null: it has to be measured. @throws as `candidates` */
  async known(checkpoint: Computable, files: FilesDigest): Promise<DecoderForm | null> {
    const [only, ...others] = this.candidates(checkpoint);
    if (only !== undefined && others.length === 0) return only;
    return (await this.#store.find(this.#key(files)))?.form ?? null;
  }

  /**
   * Opens the model in all forms. f32 where nothing can be measured: a checkpoint that cannot be served fails in it
   * too, and says why. @throws the signal's reason
   */
  async measure(model: MeasuredDecoder, signal: AbortSignal): Promise<DecoderForm> {
    try {
      return await this.#measure(model, signal);
    } catch (error) {
      signal.throwIfAborted();
      const words = "the decoder's forms could not be compared: f32 is used";
      this.#options.log.warn({ error, model: model.id }, words);
      return "f32";
    }
  }

  async #measure(model: MeasuredDecoder, signal: AbortSignal): Promise<DecoderForm> {
    const { files, id, checkpoint } = model;
    const known = shippedFigures(files.weights);
    const candidates = this.candidates(checkpoint);
    // What is known to be accurate is compared in nothing but speed, which f32 is not fast in.
    const compared = known === null ? candidates : candidates.filter((form) => form in known);
    const sessions = new Map<DecoderForm, Session>();
    let chosen: DecoderForm = "f32";
    try {
      for (const form of compared) sessions.set(form, await model.open(form));
      const figures = known ?? (await compareForms(sessions, model, signal));
      const milliseconds = await this.#timeAll(sessions, { figures, model, signal });
      chosen = fastestOf(milliseconds);
      await this.#store.keep(this.#key(files), { form: chosen, milliseconds, figures });
      this.#options.log.info({ model: id, form: chosen, milliseconds, figures }, "chose a form");
      return chosen;
    } finally {
      for (const [form, session] of sessions) {
        await session.release();
        if (form !== chosen) await model.discard(form);
      }
    }
  }

  /** Of each form that is accurate, in turns: a machine that slows down meets all. */
  async #timeAll(
    sessions: ReadonlyMap<DecoderForm, Session>,
    { figures, model, signal }: { figures: Figures; model: MeasuredDecoder; signal: AbortSignal },
  ): Promise<Partial<Record<DecoderForm, number>>> {
    const accurate = [...sessions].filter(([form]) => {
      const own = figures[form];
      return own === undefined || isAccurateDecoder(own);
    });
    const timed = [];
    for (const [form, session] of accurate) {
      const rowsMin = await fewestRows(session, form, signal);
      const feeds = timedFeeds(session, rowsMin, model.checkpoint.limits.maxTokens);
      timed.push({ form, session, runs: feeds.map((fed) => ({ feeds: fed, best: Infinity })) });
    }
    for (let repeat = 0; repeat < repeats; repeat += 1) {
      for (const { session, runs } of timed) {
        for (const run of runs)
          run.best = Math.min(run.best, await this.#time(session, run, signal));
      }
    }
    return Object.fromEntries(
      timed.map(({ form, runs }) => [form, runs.reduce((sum, { best }) => sum + best, 0)]),
    );
  }

  async #time(
    session: Session,
    { feeds }: { feeds: Record<string, Tensor> },
    signal: AbortSignal,
  ): Promise<number> {
    const startedAt = this.#options.now();
    await session.run(feeds, { outputs: ["logits"], signal });
    return this.#options.now() - startedAt;
  }

  #key({ files }: FilesDigest): string {
    const { builderVersion, kvCache, machine } = this.#options;
    const kept = kvCache === "float" ? "" : `, keys and values in ${kvCache}`;
    return `${files}-${builderVersion}${kept}, ${machine}`;
  }
}

/** Of the next token of a few texts, and of a piece of a prompt. */
function timedFeeds(
  session: Session,
  rowsMin: number,
  maxTokens: number,
): Record<string, Tensor>[] {
  const past = Math.min(pastTimed, maxTokens - 1);
  const prompt = Array.from({ length: Math.min(promptTimed, maxTokens) }, () => 0);
  return [
    ...textsTimed.map((texts) => nextTokens(session, Math.max(texts, rowsMin), past)),
    wholeText(session, prompt),
  ];
}

type Figures = Readonly<Partial<Record<string, DecoderFigures>>>;

/** Of each form but f32, the first. */
async function compareForms(
  sessions: ReadonlyMap<DecoderForm, Session>,
  { tokenizer, checkpoint }: MeasuredDecoder,
  signal: AbortSignal,
): Promise<Record<string, DecoderFigures>> {
  const [[, exact] = [], ...others] = sessions;
  if (exact === undefined) throw new Error("no form is computed here");
  const { maxTokens } = checkpoint.limits;
  const samples = await decoderSamples(exact, tokenizer, { maxTokens, signal });
  const reduced = others.map(([, session]) => session);
  const found = await measureDecoders(exact, reduced, { samples, signal });
  return Object.fromEntries(
    others.flatMap(([form], at) => (found[at] === undefined ? [] : [[form, found[at]]])),
  );
}

function fastestOf(milliseconds: Partial<Record<DecoderForm, number>>): DecoderForm {
  const forms: DecoderForm[] = ["f32", "f16", "int8", "int8-rotated", "int4"];
  return forms.reduce((best, form) =>
    (milliseconds[form] ?? Infinity) < (milliseconds[best] ?? Infinity) ? form : best,
  );
}
