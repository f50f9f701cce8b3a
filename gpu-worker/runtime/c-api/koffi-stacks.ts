/**
 * The stacks on which koffi calls C: 128 KiB by default, too small for ONNX Runtime's graph optimiser. 8 MiB is what a
 * thread has on Linux; pages never touched cost nothing.
 */
import koffi from "koffi";

const stackBytes = 8 * 1024 * 1024;

/** Before the first library is loaded: koffi takes its settings only until then, and by then they are ours already. */
export function configureStacks(): void {
  const { sync_stack_size: sync = 0, async_stack_size: async = 0 } = koffi.config();
  if (sync >= stackBytes && async >= stackBytes) return;
  koffi.config({ sync_stack_size: stackBytes, async_stack_size: stackBytes });
}
