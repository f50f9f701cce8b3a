/**
 * How a family of models writes calls of tools: as its chat template shows them to it. What stands around names and
 * arguments is fixed to the letter, so that a grammar can hold a model to it and a parser knows each part. A row is a
 * family; a template that takes no tools, or writes them in another way, is read as none of them.
 */

export type CallForm = {
  /** In free text: a call begins with it, and nothing else may. `opens` begins with it. */
  readonly trigger: string;
  /** Before the first call, before the name of each, and between the name and the arguments. */
  readonly opens: string;
  readonly beforeName: string;
  readonly afterName: string;
  /** After the arguments of each call. */
  readonly ends: string;
  /** Between two calls of a message; null: a message holds one. */
  readonly between: string | null;
  /** After the last call. */
  readonly closes: string;
  /** Letters and digits that the template wants the id of a call to have; null: any id does. */
  readonly idLength: number | null;
  /** Other marks of the template, which stand around tools, calls and what came of them: text has none of these. */
  readonly reserved: readonly string[];
};

/** Of Hermes, Qwen 2.5 and 3, SmolLM3, and of what we tell a model whose template takes no tools. */
export const hermesForm: CallForm = {
  trigger: "<tool_call>",
  opens: "<tool_call>",
  beforeName: '\n{"name": "',
  afterName: '", "arguments": ',
  ends: "}",
  between: "\n</tool_call>\n<tool_call>",
  closes: "\n</tool_call>",
  idLength: null,
  reserved: ["</tool_call>", "<tool_response>", "</tool_response>"],
};

/** Of Llama 3.1 to 3.3, whose templates refuse a message with two calls. */
const llamaForm: CallForm = {
  trigger: '{"name": "',
  opens: '{"name": "',
  beforeName: "",
  afterName: '", "parameters": ',
  ends: "}",
  between: null,
  closes: "",
  idLength: null,
  reserved: ["<|python_tag|>"],
};

const mistralIdLength = 9;
const mistralReserved = [
  "[AVAILABLE_TOOLS]",
  "[/AVAILABLE_TOOLS]",
  "[TOOL_RESULTS]",
  "[/TOOL_RESULTS]",
];

/** Of Mistral 7B v0.3, Nemo and Large: a list of calls. */
function mistralList(opens: string): CallForm {
  return {
    trigger: "[TOOL_CALLS]",
    opens,
    beforeName: '{"name": "',
    afterName: '", "arguments": ',
    ends: "}",
    between: ", ",
    closes: "]",
    idLength: mistralIdLength,
    reserved: mistralReserved,
  };
}

/** Of Mistral's templates since version 11: calls one after the other, without a word of JSON around them. */
const mistralArguments: CallForm = {
  trigger: "[TOOL_CALLS]",
  opens: "[TOOL_CALLS]",
  beforeName: "",
  afterName: "[ARGS]",
  ends: "",
  between: "[TOOL_CALLS]",
  closes: "",
  idLength: mistralIdLength,
  reserved: [...mistralReserved, "[ARGS]", "[CALL_ID]"],
};

/**
 * @param template Jinja
 * @returns null: it takes no tools, or its calls are of no form that is known here
 */
export function callFormOf(template: string): CallForm | null {
  if (!/\btools\b/.test(template)) return null;
  if (template.includes("[TOOL_CALLS]")) {
    if (template.includes("[ARGS]")) return mistralArguments;
    return mistralList(template.includes("[TOOL_CALLS][") ? "[TOOL_CALLS][" : "[TOOL_CALLS] [");
  }
  // Qwen3-Coder's are XML inside of the same mark.
  if (template.includes("<function=")) return null;
  if (template.includes("<tool_call>")) return hermesForm;
  return isLlama(template) ? llamaForm : null;
}

function isLlama(template: string): boolean {
  return template.includes("<|start_header_id|>") && template.includes('"parameters": ');
}

/** As the model would have written them. */
export function writeCalls(
  form: CallForm,
  calls: readonly { name: string; arguments: string }[],
): string {
  const written = calls.map(
    (call) => form.beforeName + call.name + form.afterName + call.arguments + form.ends,
  );
  return form.opens + written.join(form.between ?? form.closes + form.opens) + form.closes;
}
