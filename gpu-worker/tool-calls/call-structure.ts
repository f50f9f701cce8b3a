/**
 * The structure of a text that may hold calls, for XGrammar: whichever tool is called is a declared one, and its
 * arguments are what its schema validates. After calls there is nothing more.
 */
import type { Structure } from "#contract/tasks/structure.ts";
import type { Tool, ToolChoice } from "#contract/tasks/tool.ts";
import type { CallForm } from "./call-form.ts";

type Tag = { type: "tag"; begin: string; content: Format; end: string };
type Format =
  | Tag
  | { type: "const_string"; value: string }
  | { type: "json_schema"; json_schema: unknown }
  | { type: "regex"; pattern: string }
  | { type: "or"; elements: Format[] }
  | { type: "tags_with_separator"; tags: Tag[]; separator: string; at_least_one: boolean }
  | {
      type: "triggered_tags";
      triggers: string[];
      tags: Tag[];
      excludes: string[];
      stop_after_first: boolean;
    };

export type AskedCalls = {
  /** At least one. */
  readonly tools: readonly Tool[];
  /** "none" is not asked for here. */
  readonly choice: Exclude<ToolChoice, "none">;
  readonly parallel: boolean;
  /** What a text without calls must look like; absent: anything. */
  readonly otherwise?: Structure | undefined;
};

/** Of a tool that takes nothing. */
export const noArguments = '{"type":"object","properties":{}}';

/** @returns null where text of that structure cannot be had beside calls */
export function callStructure(
  form: CallForm,
  { tools, choice, parallel, otherwise }: AskedCalls,
): Structure | null {
  const names = namesOf(choice);
  const callable = tools.filter(({ name }) => names === null || names.includes(name));
  const named = typeof choice === "object" && "name" in choice;
  const { between } = form;
  const tags =
    named || !parallel || between === null
      ? single(form, callable)
      : [list(form, callable, between)];
  if (named || isRequired(choice)) return tagged({ type: "or", elements: tags });
  if (otherwise === undefined) {
    const triggers = [form.trigger];
    const excludes = [...form.reserved];
    return tagged({ type: "triggered_tags", triggers, tags, excludes, stop_after_first: true });
  }
  const text = formatOf(otherwise);
  return text === null ? null : tagged({ type: "or", elements: [...tags, text] });
}

/** @returns null: any */
function namesOf(choice: AskedCalls["choice"]): readonly string[] | null {
  if (typeof choice === "string") return null;
  return "name" in choice ? [choice.name] : choice.names;
}

function isRequired(choice: AskedCalls["choice"]): boolean {
  return (
    choice === "required" ||
    (typeof choice === "object" && "mode" in choice && choice.mode === "required")
  );
}

function tagged(format: Format): Structure {
  return { type: "structural_tag", tag: JSON.stringify({ type: "structural_tag", format }) };
}

/** One call. */
function single(form: CallForm, tools: readonly Tool[]): Tag[] {
  return tools.map((tool) => {
    const { begin, end, ...rest } = callOf(form, tool);
    return { ...rest, begin: form.opens + begin, end: end + form.closes };
  });
}

/** One call or more. */
function list(form: CallForm, tools: readonly Tool[], separator: string): Tag {
  const tags = tools.map((tool) => callOf(form, tool));
  const content: Format = { type: "tags_with_separator", tags, separator, at_least_one: true };
  return { type: "tag", begin: form.opens, content, end: form.closes };
}

function callOf(form: CallForm, { name, parameters = noArguments }: Tool): Tag {
  return {
    type: "tag",
    begin: form.beforeName + name + form.afterName,
    content: { type: "json_schema", json_schema: closed(JSON.parse(parameters)) },
    end: form.ends,
  };
}

/** Keywords that say what more properties there may be, or must. */
const ofMore =
  "additionalProperties patternProperties unevaluatedProperties propertyNames minProperties $ref allOf anyOf oneOf " +
  "not if dependentSchemas dependentRequired";
const speakOfMore = ofMore.split(" ");

/** Arguments that a tool does not declare are none of its own, unless its schema speaks of more. */
function closed(schema: object): object {
  if (!("properties" in schema) || speakOfMore.some((keyword) => keyword in schema)) return schema;
  const { properties } = schema;
  const required = "required" in schema && Array.isArray(schema.required) ? schema.required : [];
  const isDeclared = (name: unknown) =>
    typeof properties === "object" &&
    properties !== null &&
    Object.hasOwn(properties, String(name));
  return required.every(isDeclared) ? { ...schema, additionalProperties: false } : schema;
}

function formatOf(structure: Structure): Format | null {
  switch (structure.type) {
    case "json_object":
      return { type: "json_schema", json_schema: { type: "object" } };
    case "json_schema":
      return { type: "json_schema", json_schema: JSON.parse(structure.schema) };
    case "regex":
      return { type: "regex", pattern: structure.pattern };
    case "choice":
      return {
        type: "or",
        elements: structure.choices.map((value) => ({ type: "const_string", value })),
      };
    case "grammar":
    case "structural_tag":
      return null;
  }
}
