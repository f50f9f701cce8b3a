/** Calls of tools that a request asks for: what its texts are held to, and how they are read. */
import { CodedError } from "#contract/errors.ts";
import type { ChatParameters } from "#contract/tasks/chat-completion.ts";
import type { DecoderModel } from "../model/decoder-model.ts";
import type { TokenConstraint } from "../model/token-constraint.ts";
import type { CallForm } from "../tool-calls/call-form.ts";
import { callId } from "../tool-calls/call-id.ts";
import { CallParser } from "../tool-calls/call-parser.ts";
import { type AskedCalls, callStructure, noArguments } from "../tool-calls/call-structure.ts";
import { withMarks } from "../tool-calls/mark-tokens.ts";
import type { Asked } from "./generate.ts";
import type { GenerationContext } from "./pipeline.ts";

type With = { model: DecoderModel; context: GenerationContext };

/** @returns null: none; the model is then told of no tools */
export function askedCalls(parameters: ChatParameters): AskedCalls | null {
  const { tools, tool_choice: choice = "auto", structure } = parameters;
  if (tools === undefined || choice === "none") return null;
  const parallel = parameters.parallel_tool_calls ?? true;
  return { tools, choice, parallel, otherwise: structure };
}

/** The model as it writes calls: their marks are text. */
export function callingModel(form: CallForm, model: DecoderModel): DecoderModel {
  return { ...model, tokenizer: withMarks(form, model.tokenizer) };
}

/** @param model as `callingModel` gives it */
export function callsOf(
  form: CallForm,
  asked: AskedCalls,
  { model, context }: With,
): NonNullable<Asked["calls"]> {
  const names = new Set(asked.tools.map(({ name }) => name));
  return {
    constrain: () => constrain(form, asked, { model, context }),
    parserOf: (place) =>
      new CallParser({
        form,
        names,
        idOf: (index) => callId(context.jobId, { ...place, index }),
      }),
  };
}

/** @throws CodedError for what cannot be kept to, naming the tool where it is one's schema */
async function constrain(
  form: CallForm,
  asked: AskedCalls,
  { model, context }: With,
): Promise<(choice: number) => TokenConstraint> {
  const structure = callStructure(form, asked);
  if (structure === null) {
    throw new CodedError(
      "unsupported_parameter",
      `structure cannot be a ${asked.otherwise?.type} where tools are declared too. Leave one of them out.`,
      { param: "structure" },
    );
  }
  try {
    return await context.constrain(model, structure, "tools");
  } catch (error) {
    if (!(error instanceof CodedError) || error.param?.startsWith("tools") !== true) throw error;
    for (const [index, { parameters: schema = noArguments }] of asked.tools.entries()) {
      const own = { type: "json_schema", schema } as const;
      await context.constrain(model, own, `tools[${index}]`);
    }
    throw error;
  }
}
