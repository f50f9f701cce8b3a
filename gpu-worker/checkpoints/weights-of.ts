/** The weights' files of a folder, an encoder's or a decoder's. */
import { readCheckpoint } from "./checkpoint.ts";
import { readDecoderCheckpoint } from "./decoder-checkpoint.ts";

export type Weights = {
  readonly files: readonly string[];
  /** Digest of those that they are another form of; null: they are none. */
  readonly derivedFrom: string | null;
};

/** @throws Error that says why the folder cannot be read */
export async function weightsOf(folder: string): Promise<Weights> {
  const decoder = await readDecoderCheckpoint(folder, null);
  if (decoder !== null) return { derivedFrom: decoder.derivedFrom, files: decoder.weightsFiles };
  const { derivedFrom, weightsFile } = await readCheckpoint(folder);
  return { derivedFrom, files: [weightsFile] };
}
