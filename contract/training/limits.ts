/** Bounds of training files, which the edge and a worker judge alike. Units are in the names. */
export const trainingLimits = {
  fileBytesMax: 100 * 1024 * 1024,
  /** What of a file is looked at before it is stored, and what its container and form are told from. */
  headBytes: 65_536,
  /** A string of a million characters has up to four bytes for each of them. */
  lineBytesMax: 4 * 1024 * 1024,
  /** JSON values in one line: each that is wrong is a problem of its own for a moment. */
  valuesPerLineMax: 100_000,
  /** Levels of lists and objects in one line; the forms have four. */
  depthMax: 32,
  examplesMin: 10,
  /** Each is remembered by its digests, to find it again. */
  examplesMax: 1_000_000,
  /** Classes, or kinds of entities, in a file. */
  labelsMax: 1_000,
  messagesMax: 2_048,
  tokensPerExampleMax: 10_000,
  entitiesPerExampleMax: 1_000,
  answersPerExampleMax: 100,
  /** A report lists so many problems; the others are counted. */
  problemsListedMax: 1_000,
  /** Of one line: the first of them tell what is wrong with it. */
  problemsPerLineMax: 5,
  /** A report lists so many duplicates, and so many examples that stand in both splits. */
  repeatsListedMax: 100,
  /** Names of fields that are not read, in a report. */
  ignoredFieldsMax: 20,
} as const;
