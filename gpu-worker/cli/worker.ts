/**
 * `npm run worker -- COMMAND`: what an operator does to make a machine ready for the worker. Without a command the
 * worker itself runs (main.ts). Exit codes as of model.ts.
 */
import process from "node:process";
import { Command, CommanderError } from "commander";
import { readModelConfig } from "../config.ts";
import { cudaWheels } from "../cuda/cuda-wheels.ts";
import { installCuda } from "../cuda/install-cuda.ts";
import { missingLibraries } from "../cuda/missing-libraries.ts";
import { pythonCommands } from "../downloads/pip-wheel.ts";
import { findDriver } from "../runtime/c-api/cuda-driver.ts";
import { openDownloadBar } from "./progress-bar.ts";

const say = (text: string) => process.stdout.write(`${text}\n`);
const complain = (text: string) => process.stderr.write(`${text}\n`);

async function runInstall(folder: string, signal: AbortSignal): Promise<void> {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new Error(
      `The CUDA provider is for Linux x64, this is ${process.platform} ${process.arch}`,
    );
  }
  const bar = openDownloadBar(process.stderr);
  const tools = { wheels: cudaWheels, pythonCommands, environment: process.env };
  try {
    await installCuda({ folder, ...tools, signal, onProgress: bar.onProgress });
  } finally {
    bar.stop();
  }
}

/** @throws Error that names what is missing */
async function expectLibraries(folder: string, signal: AbortSignal): Promise<void> {
  const missing = await missingLibraries(folder, signal);
  if (missing.length === 0) return;
  throw new Error(
    `${folder} cannot be used, since libraries are missing:\n  ${missing.join("\n  ")}`,
  );
}

function programOf(signal: AbortSignal): Command {
  const program = new Command("npm run worker --")
    .description("Run the worker, or with a command make this machine ready for it.")
    .showHelpAfterError()
    .exitOverride();
  program
    .command("install-cuda")
    .description(
      "fetch ONNX Runtime's CUDA provider (1.4 GB of Python wheels, 2 GB on disk) for LLM_OS_DEVICE=cuda",
    )
    .option("--check", "fetch nothing: only look whether every library it needs is found")
    .action(async ({ check }: { check?: true }) => {
      const folder = readModelConfig(process.env).cudaFolder;
      if (check === undefined) await runInstall(folder, signal);
      await expectLibraries(folder, signal);
      say(`${folder}: every library is found.`);
      const driver = findDriver(folder);
      say(driver.problem ?? `${driver.devices} GPU, by a driver for CUDA ${driver.version}.`);
    });
  return program;
}

/** @returns the exit code */
export async function runWorkerCommand(args: readonly string[]): Promise<number> {
  const interruption = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.once(name, () => interruption.abort(new Error("Interrupted")));
  }
  const { signal } = interruption;
  try {
    await programOf(signal).parseAsync([...args], { from: "user" });
    return 0;
  } catch (error) {
    // commander has already said what is wrong with the use.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (signal.aborted) return 130;
    complain(error instanceof Error ? error.message : String(error));
    return 1;
  }
}
