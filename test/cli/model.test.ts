import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { catalogue } from "../../contract/catalogue.ts";
import { embeddedFiles } from "../../gpu-worker/checkpoints/embed-model.ts";
import { verifyModel } from "../../gpu-worker/cli/verify-model.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import { sharedFolder } from "../catalog/shared-folder.ts";
import { type HubServer, startHubServer } from "../downloads/hub-server.ts";

const root = path.resolve(import.meta.dirname, "../..");
const weights = Buffer.alloc(300_000, "weights ");
const files = {
  "config.json": Buffer.from(
    JSON.stringify({
      model_type: "bert",
      vocab_size: 9,
      hidden_size: 4,
      max_position_embeddings: 8,
    }),
  ),
  "modules.json": Buffer.from("[]"),
  "sentence_bert_config.json": Buffer.from("{}"),
  "1_Pooling/config.json": Buffer.from("{}"),
  "tokenizer.json": Buffer.from("{}"),
  "tokenizer_config.json": Buffer.from("{}"),
  "model.safetensors": weights,
};

let hub: HubServer;
let folder: string;

beforeAll(async () => {
  hub = await startHubServer(files);
  folder = await mkdtemp(path.join(tmpdir(), "llm-os-cli-"));
});

afterAll(async () => {
  await hub.close();
  await rm(folder, { recursive: true, force: true });
});

type Ended = { code: number; out: string; errors: string };

function model(parameters: string[], environment: Record<string, string> = {}): Promise<Ended> {
  const script = path.join(root, "gpu-worker/cli/model.ts");
  const env = {
    ...process.env,
    LLM_OS_STATE: path.join(folder, "state"),
    HF_ENDPOINT: hub.endpoint,
  };
  return new Promise((resolve) => {
    const options = { cwd: root, env: { ...env, LLM_OS_MODELS: "", ...environment } };
    const child = execFile(process.execPath, [script, ...parameters], options, (_, out, errors) =>
      resolve({ code: child.exitCode ?? -1, out, errors }),
    );
  });
}

describe("npm run model --", () => {
  it("explains itself", async () => {
    const { code, out } = await model(["--help"]);
    expect(code).toBe(0);
    for (const command of ["list", "fetch", "verify", "embed"]) expect(out).toContain(command);
  });

  it.each([
    { parameters: ["fetch"], says: "missing required argument" },
    { parameters: ["embed", "all-MiniLM-L6-v2"], says: "--out" },
    { parameters: ["dance"], says: "unknown command" },
    { parameters: ["list", "--loud"], says: "unknown option" },
    { parameters: ["verify", "somewhere", "--tolerance", "much"], says: "tolerance" },
  ])("refuses $parameters with exit code 2", async ({ parameters, says }) => {
    const { code, errors } = await model(parameters);
    expect(code).toBe(2);
    expect(errors).toContain(says);
  });

  it("names the variable of the environment that is wrong", async () => {
    const { code, errors } = await model(["list"], { HF_ENDPOINT: "not an address" });
    expect(code).toBe(1);
    expect(errors).toContain("HF_ENDPOINT");
  });
});

describe("npm run model -- --state", () => {
  it.each([["before"], ["after"]])("is taken %s the command", async (place) => {
    const state = ["--state", path.join(folder, "another-state")];
    const command = ["fetch", "bge-small-en-v1.5"];
    hub.files.set("tokenizer.json", files["tokenizer.json"]);
    const words = place === "before" ? [...state, ...command] : [...command, ...state];
    const { code, out } = await model(words);
    expect(code).toBe(0);
    expect(out).toContain(path.join(folder, "another-state"));
  });

  it.each([["list"], ["fetch", "bge-small-en-v1.5"]])(
    "is refused in words where it is a file: %s",
    async (...command) => {
      await writeFile(path.join(folder, "file"), "");
      const { code, errors } = await model([...command, "--state", path.join(folder, "file/x")]);
      expect(code).toBe(1);
      expect(errors).toMatch(/^The command cannot run:\n {2}LLM_OS_STATE .*--state.*\n$/);
    },
  );
});

describe("npm run model -- list", () => {
  it("shows what ships as here and the rest of the catalogue as not fetched", async () => {
    const { code, out } = await model(["list", "--json"]);
    expect(code).toBe(0);
    const shipped = [
      { id: "all-MiniLM-L6-v2", status: "here", megabytes: 23, licence: "apache-2.0" },
      ...["intent-banking", "ner-en", "relation-en", "sentiment-en", "topic-en"].map((id) => ({
        id,
        status: "here",
      })),
    ];
    const detail = expect.stringContaining("fetch");
    const others = catalogue.slice(1).map(({ id }) => ({ id, status: "not fetched", detail }));
    expect(JSON.parse(out)).toMatchObject([...shipped, ...others]);
  });

  it("shows what is wrong with a folder of the operator's", async () => {
    const models = path.join(folder, "models");
    await mkdir(path.join(models, "chat"), { recursive: true });
    await mkdir(path.join(models, "not-a-model"), { recursive: true });
    await writeFile(path.join(models, "chat", "chat.Q4_1.gguf"), "GGUF");
    const { code, out } = await model(["list"], { LLM_OS_MODELS: models });
    expect(code).toBe(0);
    expect(out).toMatch(/^chat +cannot be served.*chat\.Q4_1\.gguf: /m);
    expect(out).not.toContain("not-a-model");
  });

  it("warns of a folder that cannot be read, and lists the rest", async () => {
    const { code, out, errors } = await model(["list"], {
      LLM_OS_MODELS: path.join(folder, "gone"),
    });
    expect(code).toBe(0);
    expect(errors).toContain("LLM_OS_MODELS cannot be read");
    expect(out).toContain("all-MiniLM-L6-v2");
  });
});

describe("npm run model -- fetch", () => {
  it("brings a model by its hub name and prints its folder", async () => {
    const { code, out, errors } = await model(["fetch", "BAAI/bge-small-en-v1.5"]);
    expect({ code, errors }).toMatchObject({
      code: 0,
      errors: expect.stringContaining("Fetching"),
    });
    const fetched = await readFile(path.join(out.trim(), "model.safetensors"));
    expect(fetched.equals(weights)).toBe(true);
  });

  it("fails with what to do where a file is missing", async () => {
    hub.files.delete("tokenizer.json");
    const { code, errors } = await model(["fetch", "bge-small-en-v1.5"], {
      LLM_OS_STATE: path.join(folder, "other-state"),
    });
    expect(code).toBe(1);
    expect(errors).toContain("has no file tokenizer.json");
    expect(errors).toContain("LLM_OS_MODELS");
  });

  it("fails with the known ids for an unknown one", async () => {
    const { code, errors } = await model(["fetch", "gpt-9"]);
    expect(code).toBe(1);
    expect(errors).toContain("all-MiniLM-L6-v2, bge-small-en-v1.5");
  });
});

describe.skipIf(sharedFolder === null)("npm run model -- verify", () => {
  const tiny = path.join(sharedFolder ?? "", "models/references/tiny");

  it.each(["bert-SequenceClassification", "llama"])(
    "passes for %s, and prints the largest difference",
    async (name) => {
      const { code, out } = await model(["verify", path.join(tiny, name)]);
      expect(code).toBe(0);
      const difference = Number(/^largest absolute difference: (\S+)/m.exec(out)?.[1]);
      expect(difference).toBeLessThan(1e-4);
    },
  );

  // Of what the command calls: a process for each would only start again.
  it.each([
    "bert-TokenClassification",
    "bert-QuestionAnswering",
    "bert-MaskedLM",
    "distilbert",
    "electra",
    "roberta",
    "xlm-roberta",
    "deberta-v3",
    "gemma3-text",
  ])("passes for %s", async (name) => {
    const log = { info: () => undefined, warn: () => undefined };
    const runtime = await openRuntime({ log, threads: 1 });
    const found = await verifyModel(path.join(tiny, name), { runtime, threads: 1 });
    expect(found.passed).toBe(true);
    expect(found.maxAbsDifference).toBeLessThan(1e-4);
  });

  it("fails above the tolerance", async () => {
    const folderOfHead = path.join(tiny, "bert-MaskedLM");
    const { code, errors } = await model(["verify", folderOfHead, "--tolerance", "1e-12"]);
    expect(code).toBe(1);
    expect(errors).toContain("more than the tolerance of 1e-12");
  });

  it("fails for a family that is not built, and for no folder at all", async () => {
    const unknown = path.join(folder, "unknown");
    await mkdir(unknown);
    await writeFile(path.join(unknown, "config.json"), JSON.stringify({ model_type: "gpt2" }));
    await writeFile(path.join(unknown, "expected.json"), JSON.stringify({ input_ids: [[1]] }));
    await writeFile(path.join(unknown, "model.safetensors"), "");
    const other = await model(["verify", unknown]);
    expect(other.code).toBe(1);
    expect(other.errors).toContain("model_type gpt2 is not built, only bert, deberta-v2");
    expect((await model(["verify", path.join(folder, "gone")])).code).toBe(1);
  });
});

describe.skipIf(sharedFolder === null)("npm run model -- embed", () => {
  it("makes the committed model again, byte for byte", async () => {
    const from = path.join(sharedFolder ?? "", "models/all-MiniLM-L6-v2");
    const out = path.join(folder, "embedded");
    const { code, errors } = await model([
      "embed",
      "all-MiniLM-L6-v2",
      "--from",
      from,
      "--out",
      out,
    ]);
    expect({ code, errors }).toEqual({ code: 0, errors: "" });
    const committed = path.join(root, "gpu-worker/catalog/embedded/all-MiniLM-L6-v2");
    for (const name of embeddedFiles) {
      const [made, kept] = await Promise.all([
        readFile(path.join(out, name)),
        readFile(path.join(committed, name)),
      ]);
      expect({ name, same: made.equals(kept) }).toEqual({ name, same: true });
    }
  });
});
