/** Waits for promises that never reject, but not for long. Returns at once where there are none. */
export async function settledWithin(
  milliseconds: number,
  pending: readonly (Promise<void> | null | undefined)[],
): Promise<void> {
  const waiting = pending.filter((each) => each !== null && each !== undefined);
  if (waiting.length === 0) return;
  const over = Promise.withResolvers<void>();
  const timer = setTimeout(over.resolve, milliseconds);
  await Promise.race([Promise.all(waiting), over.promise]);
  clearTimeout(timer);
}
