/**
 * DeBERTa v2 and v3 (He et al., https://arxiv.org/abs/2006.03654 and https://arxiv.org/abs/2111.09543): BERT's layers
 * with distances between tokens in attention's scores (relative-scores.ts), and in some sizes a convolution beside the
 * first layer. Names as in transformers' modeling_deberta_v2.py.
 */
import * as z from "zod";
import type { Architecture, Convolution, LayerNames, MaskedHead } from "./architecture.ts";
import type { RelativePositions } from "./architecture.ts";
import { bertLayer } from "./bert.ts";
import { activation, field, size, stackFields, stackSizes } from "./config-fields.ts";

const defaults = {
  vocabulary: 128_100,
  hidden: 1536,
  layers: 24,
  heads: 24,
  intermediate: 6144,
  tokenTypes: 0,
  epsilon: 1e-7,
};

/** "c2p|p2c" in older files, a list in newer ones. */
const ScoreKinds = z
  .union([z.string(), z.array(z.string())])
  .transform((kinds) => (typeof kinds === "string" ? kinds.toLowerCase().split("|") : kinds))
  .transform((kinds) => kinds.map((kind) => kind.trim()).filter((kind) => kind !== ""))
  .pipe(z.array(z.enum(["c2p", "p2c"])));

const File = z.looseObject({
  ...stackFields(defaults),
  embedding_size: size.nullish(),
  position_biased_input: field(z.boolean(), true),
  relative_attention: field(z.boolean(), false),
  max_relative_positions: field(z.int(), -1),
  // Half of them have a distance each: one bucket would have none.
  position_buckets: field(
    z.int().refine((count) => count !== 1, "must be 2 or more, or 0 for none"),
    -1,
  ),
  pos_att_type: field(ScoreKinds, []),
  share_att_key: field(z.boolean(), false),
  norm_rel_ebd: field(z.string(), "none"),
  conv_kernel_size: field(z.int(), 0),
  conv_groups: field(size, 1),
  conv_act: field(activation, "tanh"),
  pooler_hidden_act: field(activation, "gelu"),
  legacy: field(z.boolean(), true),
});
type File = z.infer<typeof File>;

function reachOf(file: File): number {
  const { max_relative_positions: farthest } = file;
  return farthest < 1 ? file.max_position_embeddings : farthest;
}

/** Where near distances fill the reach to the last, PyTorch divides by zero for what is farther. */
function bucketsFit(file: File): boolean {
  const { position_buckets: count, max_relative_positions: farthest } = file;
  return count < 1 || farthest < 1 || farthest - 1 !== Math.floor(count / 2);
}

const Usable = File.refine(bucketsFit, {
  path: ["max_relative_positions"],
  error: "must not be half of position_buckets and one: no distance would be left for the others",
});

function layerNames(index: number): LayerNames {
  const names = bertLayer(index);
  return {
    ...names,
    query: `${names.query}_proj`,
    key: `${names.key}_proj`,
    value: `${names.value}_proj`,
  };
}

function besides(name: string, kind: string): string {
  return name.replace(/[^.]+$/, `pos_${kind}_proj`);
}

function relativePositions(file: File): RelativePositions | null {
  const [contentToPosition, positionToContent] = (["c2p", "p2c"] as const).map((kind) =>
    file.pos_att_type.includes(kind),
  );
  if (!file.relative_attention || (!contentToPosition && !positionToContent)) return null;
  const reach = reachOf(file);
  const count = file.position_buckets;
  const layerOf = (name: string, kind: string) => (file.share_att_key ? name : besides(name, kind));
  return {
    span: count > 0 ? count : reach,
    reach,
    bucketed: count > 0,
    table: "encoder.rel_embeddings.weight",
    norm: file.norm_rel_ebd.toLowerCase().includes("layer_norm") ? "encoder.LayerNorm" : null,
    layers: ({ key, query }) => ({
      key: contentToPosition ? layerOf(key, "key") : null,
      query: positionToContent ? layerOf(query, "query") : null,
    }),
  };
}

function convolution(file: File): Convolution | null {
  if (file.conv_kernel_size < 1) return null;
  return {
    name: "encoder.conv.conv",
    norm: "encoder.conv.LayerNorm",
    width: file.conv_kernel_size,
    groups: file.conv_groups,
    activation: file.conv_act,
  };
}

/** The head that transformers made first, and the one that DeBERTa was trained with. */
function maskedHeads(file: File, width: number): MaskedHead[] {
  const [first, own] = ["cls.predictions", "lm_predictions.lm_head"];
  const heads = [
    {
      dense: `${first}.transform.dense`,
      activation: file.hidden_act,
      norm: `${first}.transform.LayerNorm`,
      width,
      decoder: `${first}.decoder.weight`,
      bias: [`${first}.decoder.bias`, `${first}.bias`],
    },
    {
      dense: `${own}.dense`,
      activation: file.hidden_act,
      norm: `${own}.LayerNorm`,
      width: file.hidden_size,
      decoder: null,
      bias: [`${own}.bias`],
    },
  ];
  return file.legacy ? heads : heads.toReversed();
}

export const deberta = Usable.transform((file): Architecture => {
  const sizes = stackSizes(file);
  const width = file.embedding_size ?? sizes.hidden;
  const rows = file.max_position_embeddings;
  return {
    ...sizes,
    name: "deberta-v2",
    prefixes: ["deberta."],
    positions: rows,
    embeddings: {
      width,
      tokenTypes: file.type_vocab_size,
      positions: file.position_biased_input ? { rows, padding: null } : null,
      projection:
        width === sizes.hidden
          ? null
          : { name: "embeddings.embed_proj", bias: false, place: "before norm" },
    },
    layer: layerNames,
    scoreTerms: 1 + new Set(file.pos_att_type).size,
    relative: relativePositions(file),
    convolution: convolution(file),
    sequenceHead: {
      dense: "pooler.dense",
      activation: file.pooler_hidden_act,
      classifier: "classifier",
    },
    maskedHeads: maskedHeads(file, width),
  };
});
