/** Names by which `npm run deploy` finds what it needs among the stack's outputs. */
export const outputs = {
  queueUrl: "QueueUrl",
  trainingQueueUrl: "TrainingQueueUrl",
  clusterName: "ClusterName",
  serviceName: "ServiceName",
  trainingServiceName: "TrainingServiceName",
  callbackSecret: "CallbackSecretArn",
  operatorKey: "OperatorKeySecretArn",
  objectStorageKeys: "ObjectStorageSecretArn",
  edgeKeys: "EdgeKeysSecretArn",
} as const;

export type OutputName = keyof typeof outputs;

export const stackName = "LlmOs";
