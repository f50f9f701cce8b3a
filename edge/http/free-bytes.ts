/**
 * Gives the memory of bytes back at once; they are not to be used from then on. Left to the garbage collector, bodies
 * of megabytes pile up until it next has a reason to run. A few kilobytes are not worth the call.
 */
const worthwhileBytes = 8 * 1024;

export function freeBytes({ buffer }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength >= worthwhileBytes) buffer.transfer(0);
}
