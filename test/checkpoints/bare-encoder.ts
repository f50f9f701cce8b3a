/** The bases of adapters: encoders of the small taggers of library-checkpoints. */
import { cp, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { readFloat32 } from "../../gpu-worker/weights/read-float32.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { writeSafetensors } from "../../gpu-worker/weights/safetensors-writer.ts";

/** A checkpoint's encoder, without its classifier. */
export async function writeBareEncoder(folder: string, tagger: string): Promise<void> {
  await cp(tagger, folder, { recursive: true });
  const file = path.join(folder, "config.json");
  const config = JSON.parse(await readFile(file, "utf8"));
  const classes = config.architectures.map((name: string) =>
    name.replace(/For(TokenClassification|QuestionAnswering)/, "Model"),
  );
  const { id2label: _, label2id: __, ...rest } = config;
  await writeFile(file, JSON.stringify({ ...rest, architectures: classes }));
  const source = openSafetensors(path.join(tagger, "model.safetensors"));
  const names = source.names().filter((name) => !/^(classifier|qa_outputs)\./.test(name));
  const tensors = names.map((name) => ({
    name,
    dtype: "float32" as const,
    shape: source.entry(name)?.shape ?? [],
    load: () => readFloat32(source, name),
  }));
  await writeSafetensors(path.join(folder, "model.safetensors"), tensors);
  source.close();
}
