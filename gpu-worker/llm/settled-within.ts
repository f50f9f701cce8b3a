/** Waits for promises that never reject, but not for long. Returns at once where there are none. */
export async function settledWithin(
  milliseconds: number,
  pending: readonly Promise<void>[],
): Promise<void> {
  if (pending.length === 0) return;
  const over = Promise.withResolvers<void>();
  const timer = setTimeout(over.resolve, milliseconds);
  await Promise.race([Promise.all(pending), over.promise]);
  clearTimeout(timer);
}
