/**
 * How both runtimes set up a session, as ONNX Runtime's configuration entries
 * (onnxruntime_session_options_config_keys.h).
 */
import type { LoadOptions, ModelSource } from "./session.ts";

type Options = Pick<LoadOptions, "spinMicroseconds" | "cpuFallback">;

export function sessionConfig(
  model: ModelSource,
  { spinMicroseconds = 50, cpuFallback = true }: Options,
): Record<string, string> {
  const entries: Record<string, string> = {
    "session.intra_op.allow_spinning": spinMicroseconds > 0 ? "1" : "0",
    "session.intra_op.spin_duration_us": String(spinMicroseconds),
    "session.inter_op.allow_spinning": "0",
    // Spinning threads go to sleep when a run ends, not some milliseconds later.
    "session.force_spinning_stop": "1",
  };
  if (!cpuFallback) entries["session.disable_cpu_ep_fallback"] = "1";
  if ("bytes" in model && model.weightsFolder !== undefined) {
    entries["session.model_external_initializers_file_folder_path"] = model.weightsFolder;
  }
  return entries;
}
