/**
 * A ready-made ONNX file as a session that pipelines can use: its inputs and outputs are checked against what
 * config.json says it is, hidden states get the name and the sentence vectors that our own graphs give. What the file
 * computes is taken as it is.
 */
import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import { onnxSizes } from "../checkpoints/onnx-file.ts";
import type { Session, ValueInfo } from "../runtime/session.ts";
import { type HeadHardware, pooledSession } from "./pooled-session.ts";
import { rowByRowSession } from "./row-by-row-session.ts";
import { sentenceHeadOf } from "./sentence-head-of.ts";

const inputNames: readonly string[] = ["input_ids", "attention_mask", "token_type_ids"];

/** Names of one output, the usual one first; `width` is the size of its last axis, null where it has no such. */
type Wanted = { names: readonly string[]; perToken: boolean; width: number | null };

type Model = Pick<Checkpoint, "folder" | "config" | "head" | "sentence" | "limits">;

function wantedOf({ config, head, limits }: Model): Wanted[] {
  switch (head.name) {
    case "none":
      return [
        {
          names: ["last_hidden_state", "token_embeddings"],
          perToken: true,
          width: onnxSizes(config).hidden,
        },
      ];
    case "sequence-classification":
      return [{ names: ["logits"], perToken: false, width: head.labels.length }];
    case "token-classification":
      return [{ names: ["logits"], perToken: true, width: head.labels.length }];
    case "masked-lm":
      return [{ names: ["logits"], perToken: true, width: limits.vocabularySize }];
    case "question-answering":
      return ["start_logits", "end_logits"].map((name) => ({
        names: [name],
        perToken: true,
        width: null,
      }));
  }
}

function describe(values: readonly ValueInfo[]): string {
  const each = values.map(({ name, dtype, shape }) => {
    const sizes = shape.map((size) => (size === "" ? "?" : size));
    return `${name} ${dtype} [${sizes.join(", ")}]`;
  });
  return each.join(", ") || "none";
}

/** [batch, sequence] int64, both sizes free. */
function isUsualInput({ name, dtype, shape }: ValueInfo): boolean {
  const free = shape.length === 2 && shape.every((size) => typeof size === "string");
  return inputNames.includes(name) && dtype === "int64" && free;
}

function checkInputs({ inputs }: Session): void {
  const usual = inputs.every(isUsualInput) && inputs.some(({ name }) => name === "input_ids");
  if (usual) return;
  throw new Error(
    `its ONNX file has the inputs ${describe(inputs)}; wanted are input_ids and, where the model has them, ` +
      "attention_mask and token_type_ids, int64 [batch, sequence] with both sizes free",
  );
}

function shapeOf({ perToken, width }: Wanted): (number | string)[] {
  return ["batch", ...(perToken ? ["sequence"] : []), ...(width === null ? [] : [width])];
}

/** A size that the file leaves open fits any; so does a shape it does not give. */
function fits({ dtype, shape }: ValueInfo, wanted: Wanted): boolean {
  if (dtype !== "float32") return false;
  if (shape.length === 0) return true;
  const sizes = shapeOf(wanted);
  if (shape.length !== sizes.length) return false;
  return shape.every((size, at) => typeof size === "string" || size === sizes[at]);
}

function findOutput(session: Session, wanted: Wanted, model: Model): string {
  const found = wanted.names.flatMap((name) =>
    session.outputs.filter((output) => output.name === name && fits(output, wanted)),
  );
  const [first] = found;
  if (first !== undefined) return first.name;
  const kind = model.config.architectures?.[0] ?? "a bare encoder";
  throw new Error(
    `its ONNX file has the outputs ${describe(session.outputs)}; for ${kind}, as config.json says, wanted is ` +
      `${wanted.names.join(" or ")} float32 [${shapeOf(wanted).join(", ")}]`,
  );
}

/** The outputs that are wanted and no others, under their usual names. */
function renamed(session: Session, outputs: readonly { from: string; info: ValueInfo }[]): Session {
  const { provider, concurrency, inputs } = session;
  return {
    provider,
    concurrency,
    inputs,
    outputs: outputs.map(({ info }) => info),
    async run(feeds, options = {}) {
      const wanted = options.outputs;
      const asked = outputs.filter(({ info }) => wanted?.includes(info.name) ?? true);
      const names = asked.map(({ from }) => from);
      const given = await session.run(feeds, { ...options, outputs: names });
      const named = asked.flatMap(({ from, info }) => {
        const tensor = given[from];
        return tensor === undefined ? [] : [[info.name, tensor] as const];
      });
      return Object.fromEntries(named);
    },
    release: () => session.release(),
  };
}

/** @throws Error that lists what the file has and what is wanted; `session` is then still open */
function onnxSession(session: Session, model: Model): Session {
  checkInputs(session);
  const outputs = wantedOf(model).map((wanted) => ({
    from: findOutput(session, wanted, model),
    wanted,
    info: { name: wanted.names[0] ?? "", dtype: "float32" as const, shape: shapeOf(wanted) },
  }));
  const named = renamed(session, outputs);
  const masks = session.inputs.some(({ name }) => name === "attention_mask");
  const perToken = outputs.some(({ wanted }) => wanted.perToken);
  return masks ? named : rowByRowSession(named, perToken);
}

/** @throws Error that says what is wrong with the file; `session` is then still open */
export async function servedOnnx(
  session: Session,
  model: Model,
  hardware: HeadHardware,
): Promise<Session> {
  const states = onnxSession(session, model);
  const { folder, sentence, config } = model;
  if (sentence === null) return states;
  return pooledSession(
    states,
    { hidden: onnxSizes(config).hidden, head: sentenceHeadOf(folder, sentence) },
    hardware,
  );
}
