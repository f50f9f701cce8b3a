/** A template of each family, as short as shows how it writes calls. */
import { type CallForm, callFormOf } from "../../gpu-worker/tool-calls/call-form.ts";

const templates: Readonly<Record<string, string>> = {
  hermes: "{{ tools }}<tool_call>",
  llama: '<|start_header_id|>{{ tools }}{"name": "{{ name }}", "parameters": ',
  "mistral v3": "{{ tools }}[TOOL_CALLS] [",
  "mistral nemo": "{{ tools }}[TOOL_CALLS][",
  "mistral v11": "{{ tools }}[TOOL_CALLS]{{ name }}[ARGS]",
};

function formOf(template: string): CallForm {
  const form = callFormOf(template);
  if (form === null) throw new Error(`${template} has no form`);
  return form;
}

export const forms = Object.entries(templates).map(([family, template]) => ({
  family,
  form: formOf(template),
}));
