/**
 * Gradients of tables that are read very often, on several threads: a scatter that adds may lose some of it there. In a
 * process of its own, whose first runtime decides how many threads there are.
 */
import { describe, expect, it } from "vitest";
import { gradient } from "../../gpu-worker/autodiff/gradient.ts";
import { encodeModelProto } from "../../gpu-worker/onnx/encode-model-proto.ts";
import { GraphBuilder } from "../../gpu-worker/onnx/graph-builder.ts";
import type { Graph } from "../../gpu-worker/onnx/graph.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import { float32, int64 } from "../../gpu-worker/tensor/tensor.ts";

describe("a table of which one row is read very often", () => {
  const [reads, width] = [4_096, 384];

  /** Σ of what `reads` look-ups give, each row of which has the gradient 1. */
  function looked(rows: number): Graph {
    const graph = new GraphBuilder("looked");
    const table = graph.input("table", "float32", [rows, width]);
    const ids = graph.input("ids", "int64", [reads]);
    graph.output("loss", table.gather(ids, 0).sum([0, 1], false));
    return gradient(graph.build(), { loss: "loss", parameters: ["table"] });
  }

  // A product of a small table, a scatter of a large one.
  it.each([8, 2_000])("has all of them added, on several threads, of %i rows", async (rows) => {
    const log = { info: () => undefined, warn: () => undefined };
    const runtime = await openRuntime({ log, only: "c-api", threads: 2 });
    const bytes = encodeModelProto(looked(rows));
    const session = await runtime.load({ bytes }, { threads: 2, provider: "cpu" });
    const table = float32([rows, width], new Float32Array(rows * width));
    const ids = int64(
      [reads],
      Array.from({ length: reads }, (_, at) => (at % 4 === 0 ? 1 : 0)),
    );
    for (let run = 0; run < 6; run++) {
      const { "table.grad": found } = await session.run({ table, ids });
      const sums = Array.from(found?.data ?? [], Number);
      const added = [0, 1, 2].map((row) => [
        ...new Set(sums.slice(row * width, (row + 1) * width)),
      ]);
      expect(added).toEqual([[(3 * reads) / 4], [reads / 4], [0]]);
    }
    await session.release();
  });
});
