/** Which form decoders are computed in here: one is built yet. */

export type DecoderForm = "f32";

/** @throws the signal's reason */
export type DecoderFormChoice = (signal: AbortSignal) => Promise<DecoderForm>;

export const decoderFormChoice: DecoderFormChoice = () => Promise.resolve("f32");
