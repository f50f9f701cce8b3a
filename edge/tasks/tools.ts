/** Tools of a chat as OpenAI words them, in its older words and TGI's too, and as a worker is told of them. */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import {
  type Tool,
  ToolChoice,
  toolLimits,
  ToolName,
  Tools,
  wrongOfChoice,
  wrongOfSchema,
} from "#contract/tasks/tool.ts";
import { fieldName, validate } from "../http/validation.ts";
import { checkCount } from "./task-inputs.ts";
import { unsupported } from "./unsupported.ts";

const declared = {
  name: ToolName.describe("Letters, digits, - and _, up to 64."),
  description: z
    .string()
    .max(toolLimits.charactersMax)
    .optional()
    .describe("What it is for, as the model is told."),
  parameters: z
    .record(z.string(), z.unknown())
    .optional()
    .describe("A JSON Schema of its arguments, an object. Absent: it takes none."),
} as const;

export const FunctionBody = z.strictObject({
  ...declared,
  strict: z
    .boolean()
    .optional()
    .describe("Arguments are always what the schema validates, whatever this says."),
});
export const ToolBody = z.strictObject({
  type: z.literal("function").describe("Only functions are called."),
  function: FunctionBody.describe("The function."),
});
export const OlderFunctionBody = z.strictObject(declared);

export const NamedTool = z.strictObject({
  name: ToolName.describe("Of a function that was declared."),
});
export const NamedFunction = z.strictObject({
  type: z.literal("function").optional().describe("Only functions are called."),
  function: NamedTool.describe("The one that is called, once."),
});
const AllowedTools = z.strictObject({
  type: z.literal("allowed_tools").describe("Some of those that were declared."),
  allowed_tools: z
    .strictObject({
      mode: z.enum(["auto", "required"]).describe("Whether one of them must be called."),
      tools: z.array(NamedFunction).min(1).max(toolLimits.toolsMax).describe("Their names."),
    })
    .describe("Which may be called."),
});
export const ToolChoiceBody = z
  .union([z.enum(["none", "auto", "required"]), NamedFunction, AllowedTools])
  .describe(
    "auto: text or calls, as the model likes. none: text. required: one call or more. A function: that one, once. " +
      "Default: auto where there are tools.",
  );
const FunctionCallBody = z
  .union([z.enum(["none", "auto"]), NamedTool])
  .describe("The same as tool_choice, under its older name.");

/** As published; `readTools` reads them one by one, and says better what is wrong. */
export const toolFields = {
  tools: z
    .array(ToolBody)
    .max(toolLimits.toolsMax)
    .optional()
    .describe("Functions that the model may ask to have called."),
  tool_choice: ToolChoiceBody.optional(),
  parallel_tool_calls: z
    .boolean()
    .optional()
    .describe("Whether several may be called at once. Default: true."),
  functions: z
    .array(OlderFunctionBody)
    .max(toolLimits.toolsMax)
    .optional()
    .describe("The same as tools, in OpenAI's older words: calls are then told as function_call."),
  function_call: FunctionCallBody.optional(),
} as const;

/** As they are taken from a body, to be read by `readTools`. */
export const unreadTools = {
  tools: z.unknown().optional(),
  tool_choice: z.unknown().optional(),
  parallel_tool_calls: toolFields.parallel_tool_calls,
  functions: z.unknown().optional(),
  function_call: z.unknown().optional(),
} as const;

type Unread = z.infer<z.ZodObject<typeof unreadTools>>;

export type ReadTools = {
  /** What says nothing is left out: the same computation has the same key. */
  parameters: {
    tools?: Tool[] | undefined;
    tool_choice?: ToolChoice | undefined;
    parallel_tool_calls?: false | undefined;
  };
  /** The caller knows calls as `function_call`. */
  older: boolean;
};

/** @throws CodedError that names what is wrong */
export function readTools(body: Unread): ReadTools {
  const older = given(body.functions) || given(body.function_call);
  if (older && (given(body.tools) || given(body.tool_choice))) {
    throw new CodedError(
      "invalid_value",
      "functions and function_call are older words for tools and tool_choice. Send either, not both.",
      { param: given(body.functions) ? "functions" : "function_call" },
    );
  }
  const field = older ? "functions" : "tools";
  const tools = readList(field, body[field]);
  const choice = older ? readOlderChoice(body.function_call) : readChoice(body.tool_choice);
  if (tools.length > 0) validate(Tools, tools, [field]);
  const wrong = wrongOfChoice({ tools, tool_choice: choice });
  if (wrong !== null) throw invalid(older ? "function_call" : "tool_choice", wrong);
  if (tools.length === 0 || choice === "none") return { parameters: {}, older };
  const parallel = body.parallel_tool_calls ?? true;
  return {
    parameters: {
      tools,
      tool_choice: choice === "auto" ? undefined : choice,
      parallel_tool_calls: parallel && !older ? undefined : false,
    },
    older,
  };
}

function given(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function invalid(field: string, wrong: string): CodedError {
  return new CodedError("invalid_value", `${field} is not valid: ${wrong}. Correct it.`, {
    param: field,
  });
}

const AnyList = z.array(z.unknown()).max(toolLimits.toolsMax);

function readList(field: "tools" | "functions", value: unknown): Tool[] {
  checkCount(value, field);
  const list = given(value) ? validate(AnyList, value, [field]) : [];
  return list.map((each, at) => {
    if (field === "functions") {
      return toolOf(validate(OlderFunctionBody, each, [field, at]), [field, at]);
    }
    if (typeof each === "object" && each !== null && "type" in each && each.type === "custom") {
      throw unsupported([field, at, "type"], "Only functions are called.");
    }
    const { function: own } = validate(ToolBody, each, [field, at]);
    return toolOf(own, [field, at, "function"]);
  });
}

function toolOf(
  { name, description, parameters }: z.infer<typeof FunctionBody>,
  at: PropertyKey[],
): Tool {
  return {
    name,
    ...(description !== undefined && { description }),
    ...(parameters !== undefined && { parameters: schemaText(parameters, [...at, "parameters"]) }),
  };
}

/** @throws CodedError where it is no schema of arguments, or too large; one too deep could not be written as text */
function schemaText(schema: object, at: PropertyKey[]): string {
  const wrong = wrongOfSchema(schema);
  if (wrong !== null) throw invalid(fieldName(at), wrong);
  const text = JSON.stringify(schema);
  const { charactersMax: max } = toolLimits;
  if (text.length <= max) return text;
  throw invalid(fieldName(at), `it has ${text.length} characters, and ${max} is the limit`);
}

function readChoice(value: unknown): ToolChoice | undefined {
  if (!given(value)) return undefined;
  const choice = validate(ToolChoiceBody, value, ["tool_choice"]);
  if (typeof choice === "string") return choice;
  if ("function" in choice) return { name: choice.function.name };
  const { mode, tools } = choice.allowed_tools;
  return { mode, names: [...new Set(tools.map((tool) => tool.function.name))] };
}

function readOlderChoice(value: unknown): ToolChoice | undefined {
  return given(value) ? validate(FunctionCallBody, value, ["function_call"]) : undefined;
}
