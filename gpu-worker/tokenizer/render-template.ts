/**
 * One chat template, rendered as transformers renders it. The library has no bounds of its own: a template can loop for
 * ever and fill the memory, so that this runs in a process that can be ended (chat-template.ts).
 */
import { Environment, Interpreter, Template } from "@huggingface/jinja";
import { strftime } from "./strftime.ts";

/** What crosses to the process. */
export type RenderCall = {
  template: string;
  /** As chat-template.ts says, their contents in one text. */
  messages: readonly object[];
  /** Null: none. */
  tools: readonly object[] | null;
  addGenerationPrompt: boolean;
  bosToken: string;
  eosToken: string;
  /** Milliseconds since 1970. */
  now: number;
  /** Of the prompt, in UTF-16 units. */
  lengthMax: number;
  millisecondsMax: number;
};

/** "refused" has the template's own words, "failed" those of the library. */
export type Rendered =
  | { kind: "rendered"; prompt: string }
  | { kind: "refused" | "failed"; reason: string };

/** What a template says may hold a message of the caller's, of any length. */
const reasonUnitsMax = 1_000;

class Raised extends Error {}

/** Parsed once each; a worker serves a few models. */
const parsed = new Map<string, Template["parsed"]>();
const parsedMax = 16;

function parse(template: string): Template["parsed"] {
  const known = parsed.get(template);
  if (known !== undefined) return known;
  if (parsed.size >= parsedMax) parsed.clear();
  const program = new Template(template).parsed;
  parsed.set(template, program);
  return program;
}

/** The end of a range comes from a template, which may take a message's words for it. */
const rangeMax = 100_000;

function range(...bounds: number[]): number[] {
  const [first = 0, second, step = 1] = bounds;
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (!(length <= rangeMax)) throw new Error(`range() is of more than ${rangeMax} numbers`);
  return Array.from({ length }, (_, at) => start + at * step);
}

/** Jinja's constants, and what transformers gives every template. */
function environmentOf(call: RenderCall): Environment {
  const environment = new Environment();
  const variables: Record<string, unknown> = {
    true: true,
    True: true,
    false: false,
    False: false,
    none: null,
    None: null,
    range,
    strftime_now: (format: string) => strftime(new Date(call.now), format),
    raise_exception: (reason: unknown) => {
      throw new Raised(String(reason));
    },
    messages: call.messages,
    tools: call.tools,
    documents: null,
    add_generation_prompt: call.addGenerationPrompt,
    bos_token: call.bosToken,
    eos_token: call.eosToken,
  };
  for (const [name, value] of Object.entries(variables)) environment.set(name, value);
  return environment;
}

function failed(reason: string): Rendered {
  return { kind: "failed", reason: reason.slice(0, reasonUnitsMax) };
}

export function renderTemplate(call: RenderCall): Rendered {
  try {
    const { value } = new Interpreter(environmentOf(call)).run(parse(call.template));
    if (typeof value !== "string") return failed("it made no text");
    if (value.length > call.lengthMax) return failed(`it made more than ${call.lengthMax} units`);
    return { kind: "rendered", prompt: value };
  } catch (error) {
    if (!(error instanceof Raised)) return failed(String(error));
    return { kind: "refused", reason: error.message.slice(0, reasonUnitsMax) };
  }
}
