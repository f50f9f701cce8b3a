/** Vectors and references for the end-to-end tests. */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import * as z from "zod";

const file = path.resolve(
  import.meta.dirname,
  "../../../shared/models/references/minilm-embeddings.json",
);

const References = z.array(
  z.object({ text: z.string(), input_ids: z.array(z.int()), embedding: z.array(z.number()) }),
);

/** Reference vectors made by PyTorch in f32; empty, with a printed reason, where the shared folder is absent. */
export function readReferences(): z.infer<typeof References> {
  if (existsSync(file)) return References.parse(JSON.parse(readFileSync(file, "utf8")));
  console.log("skipped: comparison with PyTorch's vectors needs ../shared/models/references");
  return [];
}

export function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let dot = 0;
  let squaresOfA = 0;
  let squaresOfB = 0;
  for (let i = 0; i < a.length; i += 1) {
    dot += (a[i] ?? 0) * (b[i] ?? 0);
    squaresOfA += (a[i] ?? 0) ** 2;
    squaresOfB += (b[i] ?? 0) ** 2;
  }
  return dot / Math.sqrt(squaresOfA * squaresOfB);
}
