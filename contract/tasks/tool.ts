/** Tools that a model may call, as a conversation declares them, and which of them it is to call. */
import * as z from "zod";

export const toolLimits = {
  toolsMax: 128,
  /** Of names, descriptions and schemas of all tools together, in UTF-16 units: each is read with every prompt. */
  charactersMax: 65_536,
  /** Objects and lists of a schema inside one another. */
  schemaDepthMax: 64,
  /** In one message of a conversation. */
  callsPerMessageMax: 128,
  callIdCharactersMax: 256,
} as const;

/** Whether a value has more objects and lists inside one another than so many. */
export function isDeeper(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return depth === 0 || Object.values(value).some((part) => isDeeper(part, depth - 1));
}

/** @returns what keeps a value from being the schema of a tool's arguments; null: nothing */
export function wrongOfSchema(schema: unknown): string | null {
  if (typeof schema !== "object" || schema === null || Array.isArray(schema)) {
    return "a schema of arguments is an object";
  }
  if (isDeeper(schema, toolLimits.schemaDepthMax)) {
    return `it has more than ${toolLimits.schemaDepthMax} objects and lists inside one another`;
  }
  const isOfObject = !("type" in schema) || schema.type === "object";
  return isOfObject ? null : 'arguments are an object: its type must be "object"';
}

function wrongOfText(text: string): string | null {
  try {
    return wrongOfSchema(JSON.parse(text));
  } catch {
    return "it is no JSON";
  }
}

export const ToolName = z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/, {
  error: "a name has 1 to 64 letters, digits, - and _",
});

const text = z.string().max(toolLimits.charactersMax);

export const Tool = z.strictObject({
  name: ToolName.describe("Of the tool: letters, digits, - and _."),
  description: text.optional().describe("What it is for, as the model is told."),
  parameters: text
    .check((checked) => {
      const wrong = wrongOfText(checked.value);
      if (wrong !== null) {
        checked.issues.push({ code: "custom", message: wrong, input: checked.value });
      }
    })
    .optional()
    .describe("A JSON Schema of its arguments, an object, as JSON text. Absent: it takes none."),
});
export type Tool = z.infer<typeof Tool>;

export const Tools = z
  .array(Tool)
  .min(1)
  .max(toolLimits.toolsMax)
  .check(({ value: tools, issues }) => {
    const message = wrongTogether(tools);
    if (message !== null) issues.push({ code: "custom", message, input: tools });
  });

function wrongTogether(tools: readonly Tool[]): string | null {
  const names = tools.map(({ name }) => name);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) return `it declares ${twice} twice`;
  const characters = tools.reduce((sum, tool) => sum + charactersOf(tool), 0);
  return characters <= toolLimits.charactersMax
    ? null
    : `names, descriptions and schemas have ${characters} characters together, and ${toolLimits.charactersMax} is ` +
        "the limit";
}

function charactersOf({ name, description = "", parameters = "" }: Tool): number {
  return name.length + description.length + parameters.length;
}

export const ToolChoice = z.union([
  z.enum(["auto", "none", "required"]),
  z.strictObject({ name: ToolName.describe("Of the tool that is called, once.") }),
  z.strictObject({
    mode: z.enum(["auto", "required"]).describe("Whether one of them must be called."),
    names: z
      .array(ToolName)
      .min(1)
      .max(toolLimits.toolsMax)
      .describe("Of the tools that may be called, of those that were declared."),
  }),
]);
export type ToolChoice = z.infer<typeof ToolChoice>;

export const toolParameters = {
  tools: Tools.optional().describe("Functions that the model may ask to have called."),
  tool_choice: ToolChoice.optional().describe(
    "auto: text or calls, as the model likes. none: text. required: one call or more. By name: that one, once. " +
      "Default: auto.",
  ),
  parallel_tool_calls: z
    .boolean()
    .optional()
    .describe("Whether several may be called at once. Default: true."),
} as const;

type ToolParameters = {
  tools?: readonly Tool[] | undefined;
  tool_choice?: ToolChoice | undefined;
};

/** @returns what a choice names that was not declared; null: nothing */
export function wrongOfChoice({ tools = [], tool_choice: choice }: ToolParameters): string | null {
  if (choice === undefined || choice === "auto" || choice === "none") return null;
  if (tools.length === 0) return "no tools are declared that could be called";
  const names = choice === "required" ? [] : "names" in choice ? choice.names : [choice.name];
  const unknown = names.find((name) => tools.every((tool) => tool.name !== name));
  return unknown === undefined ? null : `no tool ${unknown} is declared`;
}

/** Tokens that a template, or what stands in for one, writes around all tools, and around each, about. */
const tokensAroundTools = 120;
const tokensPerTool = 24;

/** What a model reads of them before the conversation. */
export function readsOfTools({ tools = [], tool_choice: choice }: ToolParameters) {
  if (tools.length === 0 || choice === "none") return [];
  return [
    { tokens: tokensAroundTools },
    ...tools.flatMap(({ name, description = "", parameters = "" }) => [
      `${name} ${description} ${parameters}`,
      { tokens: tokensPerTool },
    ]),
  ];
}
