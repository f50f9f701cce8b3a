/** The far side of chat-template.ts: renders one call after the other, until the channel closes. */
import vm from "node:vm";
import { type RenderCall, type Rendered, renderTemplate } from "./render-template.ts";

const sandbox: { work: () => Rendered | null } = { work: () => null };
const context = vm.createContext(sandbox);

/** Time is bounded here too: a template that loops for ever must not outlive a parent that is killed meanwhile. */
function rendered(call: RenderCall): Rendered {
  sandbox.work = () => renderTemplate(call);
  return vm.runInContext("work()", context, { timeout: call.millisecondsMax });
}

process.on("message", (call: RenderCall) => process.send?.(rendered(call)));
// Ctrl-C in a terminal reaches it too: the parent ends first, and the channel with it.
process.on("SIGINT", () => null);
