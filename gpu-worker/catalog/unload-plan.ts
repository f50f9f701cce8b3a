/**
 * Which loaded models are unloaded so that others fit in memory: the least recently used of those nobody uses. Pure.
 */

export type Resident = {
  id: string;
  bytes: number;
  /** Of the last request for it, on any clock. */
  usedAt: number;
  inUse: boolean;
};

/**
 * @param needed bytes that are to fit beside what stays
 * @returns ids in the order in which they are unloaded; where even all of them are not enough, all
 */
export function planUnloads(
  residents: readonly Resident[],
  needed: number,
  budget: number,
): string[] {
  let free = budget - residents.reduce((sum, { bytes }) => sum + bytes, 0);
  const idle = residents.filter(({ inUse }) => !inUse).toSorted((a, b) => a.usedAt - b.usedAt);
  const chosen: string[] = [];
  for (const { id, bytes } of idle) {
    if (free >= needed) break;
    chosen.push(id);
    free += bytes;
  }
  return chosen;
}
