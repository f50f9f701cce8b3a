/** Limits that both sides rely on. Units are in the names. */
export const limits = {
  /** Inputs of one request. */
  inputsMax: 2_048,
  /** Tokens over all inputs of one request. */
  tokensPerRequestMax: 300_000,
  /** Characters of one string; past it no model of ours has positions left. */
  stringCharactersMax: 1_000_000,
  /**
   * Characters of all strings of one list in the parameters together. A character is up to 6 bytes of a queue message,
   * which must hold every parameter: only inputs travel by reference.
   */
  listParameterCharactersMax: 65_536,
  /** Inputs larger than this travel through object storage. */
  inlineInputsBytesMax: 200 * 1024,
  /** Results larger than this travel through object storage. */
  inlineResultBytesMax: 1024 * 1024,
  /**
   * A result as JSON; a request whose result would be larger is refused. The largest that is of use stays below: 2 048
   * vectors of 1 024 numbers are 11 MB, 300 000 tokens with their places 7 MB, and the cache's store takes no value
   * over 25 MiB.
   */
  resultBytesMax: 16 * 1024 * 1024,
  /** Of one warning, in UTF-16 units. */
  warningCharactersMax: 500,
  /** Warnings of one result; what is more is counted in the last. */
  warningsMax: 20,
  /** A webhook carries an output of up to this size, and of a larger one a link to it. */
  webhookOutputBytesMax: 256 * 1024,
  /** Body of one POST of a worker to the edge; a worker splits its events to stay below. */
  callbackBytesMax: 16 * 1024 * 1024,
  /** Results are kept this long, in the cache and for whoever polls a job. */
  resultRetentionSeconds: 86_400,
  /** A worker reports to each shard it works for at least this often while work is in flight. */
  reportIntervalMs: 1_000,
  /** A worker that has not announced itself for this long is taken for gone. */
  workerLapsedSeconds: 15,
  workerAnnounceSeconds: 5,
} as const;
