/** In processes of their own: the environment is the whole process's. */
import { spawnSync } from "node:child_process";
import process from "node:process";
import { expect, it } from "vitest";

const variable = "ORT_GQA_DISABLE_FLASH_ATTENTION";
const root = new URL("../../gpu-worker/runtime/open-runtime.ts", import.meta.url);

function foundAfterOpening(set: Record<string, string>): string {
  const script = `
    import { openRuntime } from ${JSON.stringify(root)};
    await openRuntime({ log: { info: () => {}, warn: console.warn }, only: "c-api", threads: 1 });
    process.stdout.write(process.env.${variable} ?? "nothing");
    process.exit(0);`;
  const args = ["--input-type=module", "--eval", script];
  const { [variable]: _, ...environment } = process.env;
  const env = { ...environment, ...set };
  const { stdout, stderr } = spawnSync(process.execPath, args, { env, encoding: "utf8" });
  return stdout || stderr;
}

it("attention is computed by products, unless an operator has said how", () => {
  expect(foundAfterOpening({})).toBe("1");
  expect(foundAfterOpening({ [variable]: "0" })).toBe("0");
});
