/**
 * The order in which ONNX Runtime runs the nodes of a graph, from its own profile, and what is held in memory
 * meanwhile.
 */
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { InferenceSession } from "onnxruntime-node";
import * as z from "zod";
import { decodeModel } from "../../gpu-worker/onnx/decode-model.ts";
import { encodeModelProto } from "../../gpu-worker/onnx/encode-model-proto.ts";
import type { Graph } from "../../gpu-worker/onnx/graph.ts";
import { toOrt } from "../onnx/run-graph.ts";
import type { Feeds } from "../onnx/run-graph.ts";

const Events = z.array(
  z.looseObject({
    name: z.string().optional(),
    args: z
      .looseObject({ op_name: z.string(), output_size: z.coerce.number() })
      .optional()
      .catch(undefined),
  }),
);

type Ran = { readonly name: string; readonly operator: string; readonly bytes: number };
export type Profile = { readonly order: readonly Ran[]; readonly graph: Graph };

/** The nodes in the order in which they ran, and the graph that the runtime has made. */
export async function profileRun(given: Graph, feeds: Feeds): Promise<Profile> {
  const folder = await mkdtemp(path.join(tmpdir(), "llm-os-profile-"));
  try {
    const file = path.join(folder, "rewritten.onnx");
    const session = await InferenceSession.create(encodeModelProto(given), {
      logSeverityLevel: 3,
      enableProfiling: true,
      profileFilePrefix: path.join(folder, "profile"),
      optimizedModelFilePath: file,
    });
    const inputs = Object.entries(feeds)
      .filter(([name]) => session.inputNames.includes(name))
      .map(([name, value]) => [name, toOrt(value)] as const);
    await session.run(Object.fromEntries(inputs));
    session.endProfiling();
    await session.release();
    const written = (await readdir(folder)).find((each) => each.startsWith("profile")) ?? "";
    const text = await readFile(path.join(folder, written), "utf8");
    return { order: ranOf(text), graph: decodeModel(await readFile(file)) };
  } finally {
    await rm(folder, { recursive: true });
  }
}

function ranOf(profile: string): Ran[] {
  return Events.parse(JSON.parse(profile)).flatMap(({ name = "", args }) => {
    const node = /^(.*)_kernel_time$/.exec(name)?.[1];
    if (node === undefined || args === undefined) return [];
    return [{ name: node, operator: args.op_name, bytes: args.output_size }];
  });
}

/** Most bytes of results that are still to be read, over the run. */
export function peakBytes({ order, graph: run }: Profile): number {
  const nodes = new Map(run.nodes.map((node) => [node.name, node]));
  const producers = new Map(
    run.nodes.flatMap(({ name, outputs: made }) => made.map((output) => [output, name] as const)),
  );
  const lastReads = new Map<string, number>();
  for (const [at, { name }] of order.entries()) {
    lastReads.set(name, at);
    for (const input of nodes.get(name)?.inputs ?? []) {
      const producer = producers.get(input);
      if (producer !== undefined) lastReads.set(producer, at);
    }
  }
  let [live, most] = [0, 0];
  for (const [at, { bytes }] of order.entries()) {
    live += bytes;
    most = Math.max(most, live);
    for (const ran of order.slice(0, at + 1)) if (lastReads.get(ran.name) === at) live -= ran.bytes;
  }
  return most;
}
