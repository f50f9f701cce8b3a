/** The command in a process of its own, so that it can be killed: its command as JSON is the first argument. */
import { runTune } from "../../gpu-worker/cli/tune.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";

const [given = ""] = process.argv.slice(2);
const { settings, command } = JSON.parse(given);
const interruption = new AbortController();
process.once("SIGINT", () => interruption.abort(new Error("Interrupted")));
const log = { info: () => undefined, warn: () => undefined };
const runtime = await openRuntime({ log, only: "c-api", threads: 1 });
const say = (line: string) => process.stdout.write(`${line}\n`);
await runTune(command, {
  settings,
  runtime,
  memoryBytes: 2e9,
  signal: interruption.signal,
  stream: process.stderr,
  say,
});
