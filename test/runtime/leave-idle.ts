/** Run on its own: comes to its end with a session that nobody releases. */
import process from "node:process";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import { chain, ramp } from "./models.ts";

const runtime = await openRuntime({
  log: { info: () => {}, warn: () => {} },
  only: process.argv[2] === "c-api" ? "c-api" : "node-binding",
});
const session = await runtime.load({ bytes: chain(64, 2) }, { threads: 2, provider: "cpu" });
await session.run({ x: ramp(8, 64) });
