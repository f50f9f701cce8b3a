/** Named entities of texts, each with the part of the text it is. */
import { limits } from "#contract/limits.ts";
import type { Entity } from "#contract/tasks/token-classification.ts";
import { TimeSlices } from "../event-loop/time-slices.ts";
import { findEntities, toEntity } from "./find-entities.ts";
import { offsetConverter } from "./offsets.ts";
import type { EncoderPipeline } from "./pipeline.ts";
import { ResultSize } from "./result-size.ts";
import { TokenCounter } from "./sentence-request.ts";
import { overlapWarning } from "./windows.ts";

/** Of a result's JSON, for a text of which nearly each character is an entity. */
const bytesPerCharacter = 32;
/** Bytes of an entity as JSON besides its class, which is written twice, and its words. */
const entityBytes = 72;

export const tokenClassification: EncoderPipeline<"token-classification"> = {
  kind: "encoder",
  async answer({ inputs, parameters }, model, context) {
    const counter = new TokenCounter();
    const warnings = new Set<string>();
    const texts = inputs.map((text, index) => ({ text, name: `inputs[${index}]` }));
    const fix =
      "Send fewer or shorter texts, or set ignore_labels to the classes that are not wanted.";
    const size = new ResultSize(context, { param: "inputs", fix });
    const characters = texts.reduce((sum, { text }) => sum + text.length, 0);
    await context.reserveResult(Math.min(limits.resultBytesMax, characters * bytesPerCharacter));
    const found = await findEntities(texts, model, context, {
      aggregation: parameters.aggregation_strategy ?? "simple",
      ignored: parameters.ignore_labels ?? ["O"],
      stride: parameters.stride ?? null,
      counter,
      modelParam: "model",
      onOverlapLowered: () => warnings.add(overlapWarning("stride", parameters.stride ?? 0)),
    });
    const slices = new TimeSlices(context.signal);
    const outputs: Entity[][] = [];
    for (const [index, text] of inputs.entries()) {
      const offsetOf = offsetConverter(text, parameters.offset_unit);
      const entities = found[index] ?? [];
      const named = await slices.map(entities, (entity) => {
        size.add(entityBytes + 2 * entity.label.length + entity.end - entity.start);
        return toEntity(entity, text, offsetOf);
      });
      outputs.push(named);
    }
    return { outputs, usage: counter.usage(), warnings: [...warnings] };
  },
};
