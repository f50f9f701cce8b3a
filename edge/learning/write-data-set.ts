/** A training file of the key that the platform writes itself, as if it had been uploaded: a worker checks it. */
import type { Env } from "../environment.ts";
import { settingsOf } from "../environment.ts";
import type { StorageRefusal } from "../files/storage-limits.ts";
import { keyOfFile, type StoredFile } from "../files/stored-file.ts";
import { ObjectWriter } from "../storage/object-writer.ts";

export type DataSet = {
  tenant: string;
  id: string;
  filename: string;
  /** It has no more. */
  bytesMax: number;
  /** Milliseconds that it is kept; null: until it is deleted. */
  keptMs: number | null;
};

/** After so many bytes it is said that the upload goes on. */
const saidBytes = 4 * 2 ** 20;

/** @returns the file, or what there is no room for */
export async function writeDataSet(
  env: Env,
  { tenant, id, filename, bytesMax, keptMs }: DataSet,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<{ file: StoredFile } | { refusal: StorageRefusal }> {
  const files = env.FILES.getByName(tenant);
  const refusal = await files.begin(id, bytesMax);
  if (refusal !== null) return { refusal };
  const writer = new ObjectWriter(settingsOf(env), keyOfFile(id));
  let kept = false;
  try {
    let said = 0;
    for await (const chunk of chunks) {
      await writer.write(chunk);
      if (writer.bytes - said < saidBytes) continue;
      said = writer.bytes;
      await files.hear(id);
    }
    const now = Date.now();
    const file: StoredFile = {
      id,
      ...(await writer.end()),
      filename,
      purpose: "fine-tune",
      createdAt: Math.floor(now / 1_000),
      expiresAt: keptMs === null ? null : Math.floor((now + keptMs) / 1_000),
      status: "uploaded",
      statusDetails: null,
    };
    kept = await files.end(tenant, file);
    if (!kept) throw new Error(`${id} was taken for dead while it was written`);
    return { file };
  } finally {
    if (!kept) {
      // Whatever stopped it is what is told of.
      await writer.abort().catch(() => {});
      await files.discard(id);
    }
  }
}
