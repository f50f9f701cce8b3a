/**
 * What anybody may read of a running stack, by plain clients: the description in both encodings, the welcome page's
 * samples.
 */
import { execFile } from "node:child_process";
import { get, type IncomingHttpHeaders } from "node:http";
import path from "node:path";
import process from "node:process";
import { buffer } from "node:stream/consumers";
import { promisify } from "node:util";
import { gunzipSync } from "node:zlib";
import { beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { embeddingsSample, firstRequest, firstSample } from "../../edge/portal/samples.ts";
import { peerPython } from "../peer-python.ts";
import { type SharedStack, sharedStack } from "./shared-stack.ts";

const root = path.resolve(import.meta.dirname, "../..");
const run = promisify(execFile);
const python = peerPython({
  modules: ["huggingface_hub", "openai"],
  what: "the welcome page's Python",
  script: "install-python.sh",
  folder: "python",
});
const runPython = (code: string) => run(python ?? "", ["-c", code]);
const runJavaScript = (code: string) =>
  run(process.execPath, ["--input-type=module", "--eval", code], { cwd: root });
let stack: SharedStack;

type Answer = { status: number | undefined; headers: IncomingHttpHeaders; body: Buffer };

/** The bytes as they travel. */
function fetchRaw(headers: Record<string, string>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    get(`${stack.url}/openapi.json`, { headers }, async (response) => {
      const { statusCode: status, headers: answered } = response;
      resolve({ status, headers: answered, body: await buffer(response) });
    }).once("error", reject);
  });
}

/** Of what a client's own objects are printed as. */
function scoresIn(printed: string): { label: string; score: number }[] {
  const pairs = printed.matchAll(/label['"]?[:=]\s*'(\w+)'.*?score['"]?[:=]\s*([\d.e-]+)/gs);
  return [...pairs].map(([, label = "", score]) => ({ label, score: Number(score) }));
}

beforeAll(async () => {
  stack = await sharedStack("plain");
});

describe("/openapi.json", () => {
  it("travels as gzip to who takes it, and as it is to others", async () => {
    const plain = await fetchRaw({});
    const packed = await fetchRaw({ "accept-encoding": "br, gzip;q=0.5" });
    expect(plain.headers["content-encoding"]).toBeUndefined();
    expect(packed.headers["content-encoding"]).toBe("gzip");
    expect(packed.body.length).toBeLessThan(plain.body.length / 5);
    expect(gunzipSync(packed.body).equals(plain.body)).toBe(true);
    for (const { headers } of [plain, packed]) expect(headers.vary).toBe("accept-encoding");
    const refused = await fetchRaw({ "accept-encoding": "gzip;q=0, *" });
    expect(refused.headers["content-encoding"]).toBeUndefined();
  });

  it("is known again by one tag in both forms", async () => {
    const { headers } = await fetchRaw({ "accept-encoding": "gzip" });
    const tag = headers.etag ?? "";
    expect(tag).toMatch(/^W\//);
    for (const encoding of ["gzip", "identity"]) {
      const known = { "if-none-match": tag, "accept-encoding": encoding };
      const { status, headers: answered, body } = await fetchRaw(known);
      expect([status, answered["content-encoding"], body.length]).toEqual([304, undefined, 0]);
      expect(answered.etag).toBe(tag);
    }
  });
});

describe("the welcome page's samples", () => {
  const { answer } = firstRequest;
  /** Int8 and f32, which a machine chooses between, differ by less. */
  const tolerance = 0.01;

  function expectRecorded(scores: readonly { label: string; score: number }[]): void {
    expect(scores.map(({ label }) => label)).toEqual(answer.map(({ label }) => label));
    for (const [i, { score }] of scores.entries()) {
      expect(Math.abs(score - (answer[i]?.score ?? Number.NaN))).toBeLessThan(tolerance);
    }
  }

  it.skipIf(process.platform === "win32")("are answered as recorded by curl", async () => {
    const { stdout } = await run("sh", ["-c", `${firstSample(stack.url).curl} --silent`]);
    const Scores = z.array(z.strictObject({ label: z.string(), score: z.number() }));
    expectRecorded(Scores.parse(JSON.parse(stdout)));
    const embedded = await run("sh", ["-c", `${embeddingsSample(stack.url).curl} --silent`]);
    expect(JSON.parse(embedded.stdout)).toMatchObject({
      object: "list",
      model: "all-MiniLM-L6-v2",
    });
  });

  it("run as JavaScript", async () => {
    expectRecorded(scoresIn((await runJavaScript(firstSample(stack.url).javaScript)).stdout));
    const { stdout } = await runJavaScript(embeddingsSample(stack.url).javaScript);
    expect(stdout.trim()).toBe("384");
  });

  it.skipIf(python === null)("run as Python", async () => {
    expectRecorded(scoresIn((await runPython(firstSample(stack.url).python)).stdout));
    const { stdout } = await runPython(embeddingsSample(stack.url).python);
    expect(stdout.trim()).toBe("384");
  });
});
