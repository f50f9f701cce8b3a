/** The worker's log: JSON lines on standard output (pino). Rooms receive a `Log`; none makes its own. */
import { type Logger, pino } from "pino";

/** What the rooms use of the logger. The object comes first, then the message. */
export type Log = Pick<Logger, "debug" | "info" | "warn" | "error" | "fatal">;

const standardOutput = 1;

export function createLog(options: { level: string; worker: string }): Log {
  const fields = {
    level: options.level,
    base: { worker: options.worker },
    timestamp: pino.stdTimeFunctions.isoTime,
    serializers: { error: pino.stdSerializers.errWithCause },
  };
  // What waits to be written when a process exits is tried for ever where nobody reads it any more (sonic-boom 4.2).
  return pino(fields, pino.destination({ dest: standardOutput, sync: true }));
}
