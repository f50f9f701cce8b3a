/**
 * More examples of labelled ones: candidates are edited and written, then screened, the candidates of some sources at a
 * time, by the embedder's vectors and by the judge, which is the request's own model.
 */
import {
  augmentationLimits,
  isEdit,
  isWritten,
  planOf,
  sourcesPerTurn,
} from "#contract/augmentation/augmentation-plan.ts";
import type { AugmentationReport } from "#contract/augmentation/augmentation-report.ts";
import type { Usage } from "#contract/result-document.ts";
import type { AugmentationParameters, LabelledExample } from "#contract/tasks/augmentation.ts";
import {
  type Candidate,
  type Judgement,
  KeptVectors,
  KnownTexts,
  labelFault,
  type NewText,
  outsideBand,
  Screening,
} from "../augmentation/screen-candidates.ts";
import { editWords } from "../augmentation/word-edits.ts";
import { TimeSlices } from "../event-loop/time-slices.ts";
import type { EncoderModel } from "../model/encoder-model.ts";
import { randomFrom } from "#contract/random.ts";
import { dot, toUnitLength } from "../tensor/vectors.ts";
import { featureExtraction } from "./feature-extraction.ts";
import { type LabelJudge, labelJudge } from "./label-judge.ts";
import type { MixedContext, MixedPipeline, TaskContext } from "./pipeline.ts";
import { jsonBytes, ResultSize } from "./result-size.ts";
import { writeTexts } from "./write-texts.ts";

export const augmentation: MixedPipeline<"augmentation"> = {
  kind: "mixed",
  async answer({ inputs, parameters }, model, context) {
    const outputs: AugmentationReport[] = [];
    const usage: Usage = { promptTokens: 0, completionTokens: 0 };
    for (const { examples } of inputs) {
      const report = await new Augmentation(examples, { parameters, model, context }).report();
      outputs.push(report);
      usage.promptTokens += report.cost.prompt_tokens;
      usage.completionTokens = (usage.completionTokens ?? 0) + report.cost.completion_tokens;
    }
    return { outputs, usage, warnings: [] };
  },
};

type Options = {
  readonly parameters: AugmentationParameters;
  readonly model: EncoderModel;
  readonly context: MixedContext;
};

/** Of a candidate as JSON, beside its text and label. */
const candidateBytes = 160;

class Augmentation {
  readonly #examples: readonly LabelledExample[];
  readonly #options: Options;
  readonly #screening = new Screening();
  readonly #known: KnownTexts;
  #answers = 0;
  #promptTokens = 0;
  #completionTokens = 0;

  constructor(examples: readonly LabelledExample[], options: Options) {
    this.#examples = examples;
    this.#options = options;
    const texts = examples.map(({ text }) => text);
    this.#known = new KnownTexts(texts, augmentationLimits.textCharactersMax);
  }

  async report(): Promise<AugmentationReport> {
    const { parameters, model, context } = this.#options;
    await this.#expectResult();
    const labels = [...new Set(this.#examples.map(({ label }) => label))];
    const judge = labelJudge(model, labels, parameters.zero_shot);
    const { embedder: id } = parameters;
    const embedder = id === model.id ? model : await context.acquire(id);
    const candidates = await this.#candidates();
    const turns = Math.ceil(this.#examples.length / sourcesPerTurn);
    for (let turn = 0; turn < turns; turn += 1) {
      const from = turn * sourcesPerTurn;
      const own = candidates.filter(({ source }) => Math.floor(source / sourcesPerTurn) === turn);
      await this.#screen(from, own, { judge, embedder });
      context.progress?.(this.#answers + turn + 1, this.#answers + turns);
    }
    const { kept, tried } = this.#screening;
    return {
      judge: { model: model.id, by: judge.by },
      tried,
      kept: kept.length,
      rejected: this.#screening.rejected(),
      methods: this.#screening.methods(),
      cost: {
        answers: this.#answers,
        prompt_tokens: this.#promptTokens,
        completion_tokens: this.#completionTokens,
      },
      examples: [...this.#examples],
      candidates: kept,
    };
  }

  async #expectResult(): Promise<void> {
    const { parameters, context } = this.#options;
    const each = 1 + parameters.per_example;
    const bytes = this.#examples.reduce(
      (sum, { text, label }) => sum + each * (jsonBytes(text) + jsonBytes(label) + candidateBytes),
      0,
    );
    const fix = "Send fewer or shorter examples, or lower per_example.";
    await new ResultSize(context, { param: "per_example", fix }).expect(bytes);
  }

  /** All that are tried, by source. */
  async #candidates(): Promise<Candidate[]> {
    const { parameters, context } = this.#options;
    const { generator, edit_share: share, seed } = parameters;
    const plan = planOf(this.#examples.length, parameters);
    const asked = plan.filter(isWritten);
    const turns = Math.ceil(this.#examples.length / sourcesPerTurn);
    const written =
      generator === null || asked.length === 0
        ? null
        : await writeTexts(asked, this.#examples, {
            parameters,
            writer: await context.writer(generator),
            progress: (done, total) => context.progress?.(done, total + turns),
          });
    this.#answers += written?.answers ?? 0;
    this.#count(written?.usage ?? { promptTokens: 0 });
    const texts = (written?.texts ?? []).values();
    // Thousands of texts are edited letter by letter, and others are served meanwhile.
    return new TimeSlices(context.signal).map(
      plan,
      ({ example: source, method }, at): Candidate => {
        if (!isEdit(method)) return { source, method, text: texts.next().value ?? null };
        const random = randomFrom(seed + at);
        const { text } = this.#examples[source] ?? { text: "" };
        return { source, method, text: editWords(text, method, { random, share }) };
      },
    );
  }

  async #screen(
    from: number,
    candidates: readonly Candidate[],
    models: { judge: LabelJudge; embedder: EncoderModel },
  ): Promise<void> {
    const { parameters } = this.#options;
    const sources = this.#examples.slice(from, from + sourcesPerTurn);
    const fresh = candidates.filter((each): each is NewText =>
      this.#pass(each, this.#known.take(each)),
    );
    const texts = [...sources, ...fresh].map(({ text }) => text);
    const vectors = await this.#embed(texts, models.embedder);
    const near = fresh.flatMap((candidate, at) => {
      const vector = vectors[sources.length + at] ?? new Float32Array();
      const similarity = dot(vector, vectors[candidate.source - from] ?? vector);
      const inside = this.#pass(candidate, outsideBand(similarity, parameters));
      return inside ? [{ candidate, vector, similarity }] : [];
    });
    const judged = [...sources.keys()].map((at) => this.#judgedAs(at + from));
    const judgements = await this.#judge(
      [
        ...judged,
        ...near.map(({ candidate }) => ({ ...this.#judgedAs(candidate.source), ...candidate })),
      ],
      models.judge,
    );
    const keptOf = sources.map(() => new KeptVectors());
    for (const [at, { candidate, vector, similarity }] of near.entries()) {
      const source = judgements[candidate.source - from];
      const own = judgements[sources.length + at];
      if (source === undefined || own === undefined) throw new Error("each text is judged");
      const { label } = this.#judgedAs(candidate.source);
      const fault =
        labelFault(label, { source, candidate: own }, parameters.label_score_min) ??
        keptOf[candidate.source - from]?.take(vector, parameters.similarity_max) ??
        null;
      if (!this.#pass(candidate, fault)) continue;
      const scores = { similarity, label: own.score, source_label: source.score };
      this.#screening.keep({ ...candidate, label, scores });
    }
  }

  #judgedAs(source: number): LabelledExample {
    return this.#examples[source] ?? { text: "", label: "" };
  }

  /** @returns whether nothing is wrong with it */
  #pass(candidate: Candidate, fault: Parameters<Screening["reject"]>[1] | null): boolean {
    if (fault !== null) this.#screening.reject(candidate, fault);
    return fault === null;
  }

  async #embed(texts: string[], embedder: EncoderModel): Promise<Float32Array[]> {
    const request = {
      task: "feature-extraction" as const,
      inputs: texts,
      parameters: { truncate: true },
    };
    const { outputs, usage } = await featureExtraction.answer(request, embedder, this.#inner());
    this.#count(usage);
    return outputs.map((output) => toUnitLength(floatsOf(output)));
  }

  async #judge(texts: readonly LabelledExample[], judge: LabelJudge): Promise<Judgement[]> {
    const { judgements, usage } = await judge.judge(texts, this.#inner());
    this.#count(usage);
    return judgements;
  }

  #count({ promptTokens, completionTokens = 0 }: Usage): void {
    this.#promptTokens += promptTokens;
    this.#completionTokens += completionTokens;
  }

  /** What other tasks answer is no result of this request: it goes with the turn. */
  #inner(): TaskContext {
    return { ...this.#options.context, reserveResult: () => Promise.resolve() };
  }
}

function floatsOf(base64: unknown): Float32Array {
  if (typeof base64 !== "string") throw new Error("a sentence has one vector");
  return new Float32Array(Uint8Array.from(Buffer.from(base64, "base64")).buffer);
}
