/** The worker's log: JSON lines on standard output (pino). Rooms receive a `Log`; none makes its own. */
import { type Logger, pino } from "pino";

/** What the rooms use of the logger. The object comes first, then the message. */
export type Log = Pick<Logger, "debug" | "info" | "warn" | "error" | "fatal">;

export function createLog(options: { level: string; worker: string }): Log {
  return pino({
    level: options.level,
    base: { worker: options.worker },
    timestamp: pino.stdTimeFunctions.isoTime,
    serializers: { error: pino.stdSerializers.errWithCause },
  });
}
