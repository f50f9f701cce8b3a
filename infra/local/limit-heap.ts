/**
 * Bounds what the isolates of a local workerd keep on their heap, as they are bounded where they are deployed: 128 MB,
 * and buffers count there too. Without it V8 lets some 250 MB of garbage pile up before it first looks for any.
 */
const heapMegabytes = 112;

/** @param environment of the process that starts Miniflare, which passes these on to workerd */
export function limitHeap(environment: Record<string, string | undefined>): void {
  environment["MINIFLARE_WORKERD_V8_FLAGS"] ??= `--max-heap-size=${heapMegabytes}`;
}
