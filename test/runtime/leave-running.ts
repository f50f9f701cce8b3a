/** Run on its own: leaves the process, with code 7, while a session computes. */
import process from "node:process";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import { chain, ramp } from "./models.ts";

const runtime = await openRuntime({
  log: { info: () => {}, warn: () => {} },
  only: process.argv[2] === "c-api" ? "c-api" : "node-binding",
});
const options = { threads: 2, provider: "cpu", spinMicroseconds: 5_000 } as const;
const session = await runtime.load({ bytes: chain(512, 30) }, options);
await session.run({ x: ramp(512, 512) });
void session.run({ x: ramp(512, 512) });
setImmediate(() => process.exit(7));
