/** The bindings that calls of one test file share. What an isolate keeps, it keeps by them. */
import { env } from "cloudflare:workers";

let bindings: typeof env = { ...env };

/** The bindings of an isolate that has kept nothing yet. */
export function startIsolate(): void {
  bindings = { ...env };
}

export function isolateBindings(): typeof env {
  return bindings;
}
