/** Named entities of texts, each with the part of the text it is. */
import { findEntities, toEntity } from "./find-entities.ts";
import { placesIn } from "./offsets.ts";
import type { EncoderPipeline } from "./pipeline.ts";
import { RequestTally } from "./sentence-request.ts";
import { overlapWarning } from "./windows.ts";

export const tokenClassification: EncoderPipeline<"token-classification"> = {
  kind: "encoder",
  async answer({ inputs, parameters }, model, engine) {
    const tally = new RequestTally();
    const warnings = new Set<string>();
    const texts = inputs.map((text, index) => ({ text, name: `inputs[${index}]` }));
    const found = await findEntities(texts, model, engine, {
      aggregation: parameters.aggregation_strategy ?? "simple",
      ignored: parameters.ignore_labels ?? ["O"],
      stride: parameters.stride ?? null,
      tally,
      modelParam: "model",
      onOverlapLowered: () => warnings.add(overlapWarning("stride", parameters.stride ?? 0)),
    });
    return {
      outputs: inputs.map((text, index) => {
        const placeOf = placesIn(text, parameters.offset_unit);
        return (found[index] ?? []).map((entity) => toEntity(entity, text, placeOf));
      }),
      usage: tally.usage(),
      warnings: [...warnings],
    };
  },
};
