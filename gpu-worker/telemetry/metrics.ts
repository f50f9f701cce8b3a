/** The worker's figures in Prometheus' form, one named instrument each. Who counts what is said in its help text. */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";

const secondsBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** What is read when the figures are asked for, by the name under which it is given. */
const watched = {
  jobsHeld: {
    name: "llm_os_jobs_held",
    help: "Jobs received and neither deleted nor handed back",
  },
  backlogTokens: { name: "llm_os_backlog_tokens", help: "Tokens that wait for a batch" },
  modelsLoaded: { name: "llm_os_models_loaded", help: "Models in memory" },
} as const;

export type Metrics = ReturnType<typeof createMetrics>;

export function createMetrics() {
  const register = new Registry();
  const registers = [register];
  collectDefaultMetrics({ register, prefix: "llm_os_worker_" });
  return {
    /** The text of GET /metrics. */
    render: () => register.metrics(),
    contentType: register.contentType,
    /** Has a figure read by `read` each time it is asked for. */
    watch(figure: keyof typeof watched, read: () => number): void {
      const collect = function (this: Gauge) {
        this.set(read());
      };
      // The instrument lives in the register.
      void new Gauge({ ...watched[figure], registers, collect });
    },
    ...jobInstruments(registers),
    ...batchInstruments(registers),
    ...transportInstruments(registers),
  };
}

function jobInstruments(registers: Registry[]) {
  return {
    jobsFinished: new Counter({
      name: "llm_os_jobs_finished_total",
      help: "Jobs that reached an end here, by task and outcome (succeeded, an error code, cancelled, handed_back)",
      labelNames: ["task", "outcome"] as const,
      registers,
    }),
    jobSeconds: new Histogram({
      name: "llm_os_job_seconds",
      help: "From the receive of a job to its terminal event, without delivery",
      labelNames: ["task"] as const,
      buckets: secondsBuckets,
      registers,
    }),
  };
}

function batchInstruments(registers: Registry[]) {
  return {
    batchSeconds: new Histogram({
      name: "llm_os_batch_seconds",
      help: "One run of the model",
      buckets: secondsBuckets,
      registers,
    }),
    batchEntries: new Histogram({
      name: "llm_os_batch_entries",
      help: "Sequences in one run of the model",
      buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
      registers,
    }),
    batchTokens: new Counter({
      name: "llm_os_batch_tokens_total",
      help: "Tokens of sequences run, without padding",
      registers,
    }),
    batchTokensPadded: new Counter({
      name: "llm_os_batch_tokens_padded_total",
      help: "Tokens run, padding included",
      registers,
    }),
  };
}

function transportInstruments(registers: Registry[]) {
  return {
    messagesReceived: new Counter({
      name: "llm_os_messages_received_total",
      help: "Queue messages received, redeliveries included",
      registers,
    }),
    messagesPoisoned: new Counter({
      name: "llm_os_messages_poisoned_total",
      help: "Queue messages left for the dead-letter queue",
      registers,
    }),
    deadLetters: new Counter({
      name: "llm_os_dead_letters_total",
      help: "Messages of the dead-letter queue: jobs failed, and what could not be read",
      labelNames: ["outcome"] as const,
      registers,
    }),
    queueErrors: new Counter({
      name: "llm_os_queue_errors_total",
      help: "Calls to the queue that failed, by action",
      labelNames: ["action"] as const,
      registers,
    }),
    callbacks: new Counter({
      name: "llm_os_callbacks_total",
      help: "Grouped event posts to the edge, by status (0: no answer)",
      labelNames: ["status"] as const,
      registers,
    }),
    events: new Counter({
      name: "llm_os_events_total",
      help: "Events sent to the edge, repeats included",
      registers,
    }),
  };
}
