/**
 * Child of the launcher: an SQS and S3 server on a loopback port, its messages and objects in SQLite under the state
 * folder. The numbers of the queues are the contract's. Any credentials are accepted: nothing but this machine reaches
 * it.
 */
import { Server } from "node:net";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { queueNames, queueNumbers } from "#contract/queue.ts";
import { type FauxqsServer, startFauxqs } from "fauxqs";
import { onLauncherGone, QueueSettings, readSettings, tellLauncher } from "./child-protocol.ts";
import { loopback } from "./free-ports.ts";

/** fauxqs binds to every interface and has no option for it: whatever this process listens on stays on loopback. */
function listenOnLoopbackOnly(): void {
  const listen = Server.prototype.listen;
  const onLoopback = function (this: Server, ...args: unknown[]): Server {
    const [options] = args;
    const bound = typeof options === "object" ? [{ ...options, host: loopback }] : args;
    return Reflect.apply(listen, this, [...bound, ...args.slice(1)]);
  };
  Server.prototype.listen = onLoopback;
}

/**
 * A write-ahead log synced at checkpoints survives the death of the process, though not of the machine, and spares a
 * disk flush at each send, receive and delete (0.27 ms against 0.015 ms a statement on an SSD).
 */
function syncAtCheckpoints(): void {
  const exec = DatabaseSync.prototype.exec;
  DatabaseSync.prototype.exec = function (this: DatabaseSync, sql: string): void {
    exec.call(this, sql);
    if (/journal_mode\s*=\s*wal/i.test(sql)) exec.call(this, "PRAGMA synchronous = NORMAL");
  };
}

/** Of a queue and of its dead-letter queue, which has to be there first. */
function queueAttributes(name: string, deadLetter: string): Record<string, Record<string, string>> {
  return {
    [deadLetter]: { MessageRetentionPeriod: String(queueNumbers.deadLetterRetentionSeconds) },
    [name]: {
      MessageRetentionPeriod: String(queueNumbers.retentionSeconds),
      VisibilityTimeout: String(queueNumbers.visibilityTimeoutSeconds),
      RedrivePolicy: JSON.stringify({
        deadLetterTargetArn: `arn:aws:sqs:us-east-1:000000000000:${deadLetter}`,
        maxReceiveCount: String(queueNumbers.maxReceiveCount),
      }),
    },
  };
}

function createMissing(server: FauxqsServer, bucket: string): void {
  const { jobs, deadLetter, training, trainingDeadLetter } = queueNames;
  const attributes = {
    ...queueAttributes(jobs, deadLetter),
    ...queueAttributes(training, trainingDeadLetter),
  };
  for (const [name, values] of Object.entries(attributes)) {
    // Creating a queue that is there would empty it.
    if (server.inspectQueue(name) === undefined) server.createQueue(name, { attributes: values });
  }
  server.createBucket(bucket);
}

async function main(): Promise<void> {
  const { port, dataFolder, bucket } = readSettings(QueueSettings);
  listenOnLoopbackOnly();
  syncAtCheckpoints();
  const server = await startFauxqs({ port, logger: false, dataDir: dataFolder });
  createMissing(server, bucket);
  // Ctrl-C reaches every process of the terminal; the launcher stops the queue last.
  process.on("SIGINT", () => {});
  onLauncherGone(() => void server.stop().finally(() => process.exit(0)));
  tellLauncher({ type: "listening" });
}

await main();
