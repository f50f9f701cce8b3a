/**
 * Before each file of tests: nothing is stored, and nothing that an isolate keeps is left. The files share one workerd
 * and the modules it has loaded; loading the whole application for each of them took over a second of a core.
 */
import { reset } from "cloudflare:test";
import { beforeAll } from "vitest";
import { startIsolate } from "./isolate.ts";

beforeAll(async () => {
  await reset();
  startIsolate();
});
