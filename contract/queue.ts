/** The numbers of the job queue. The worker obeys them, infra derives its queues from them. */
export const queueNumbers = {
  /** A received message is hidden from other workers for this long. */
  visibilityTimeoutSeconds: 15,
  /** A worker extends the visibility of what it holds this often. */
  heartbeatSeconds: 5,
  /**
   * Between the end of its drain and its own end a worker needs this long at most, to hand back what it still holds.
   */
  handBackSeconds: 10,
  /** After this many receives without a delete a message moves to the dead-letter queue. */
  maxReceiveCount: 6,
  /** SQS: entries of a SendMessageBatch or DeleteMessageBatch, and messages of a receive. */
  batchEntriesMax: 10,
  /**
   * SQS: one message, and all messages of a SendMessageBatch together, attributes included; ours have none.
   * https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
   */
  messageBytesMax: 1_048_576,
  batchBytesMax: 1_048_576,
  /** How long the job queue keeps a message: a day, as long as a result. */
  retentionSeconds: 86_400,
  deadLetterRetentionSeconds: 14 * 86_400,
} as const;

/** A queue for each pool of workers, with its dead-letter queue. */
export const queueNames = {
  jobs: "llm-os-jobs",
  deadLetter: "llm-os-jobs-dead-letter",
  training: "llm-os-training",
  trainingDeadLetter: "llm-os-training-dead-letter",
} as const;
