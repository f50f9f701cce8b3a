/** What one key may have of fine-tuning. */
export const tuningLimits = {
  /** Tuned models, with those that open jobs may come to. */
  modelsMax: 20,
  /** Of a job; the oldest metrics beyond go first. */
  eventsMax: 10_000,
  /** Of a job; the oldest go first. */
  checkpointsMax: 1_000,
  /** Jobs that are over; the oldest go first. */
  finishedMax: 1_000,
  /** Data of one event, as JSON. */
  eventDataCharactersMax: 16_384,
} as const;

/** What there is too little of. */
export type TuningRefusal =
  | { kind: "jobs" }
  | { kind: "models" }
  /** Of training, today. */
  | { kind: "seconds"; left: number; resetMs: number };
