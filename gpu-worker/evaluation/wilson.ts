/** The interval of a share (Wilson 1927): unlike the normal one it never leaves 0…1, and holds for few rows. */

/** Of the normal distribution, 97.5 % lie below. */
const z = 1.959963984540054;

export const wilsonLevel = 0.95;

/** All that a share can be, where there are no rows. */
export function wilsonInterval(right: number, rows: number): { low: number; high: number } {
  if (rows === 0) return { low: 0, high: 1 };
  const share = right / rows;
  const spread = z * Math.sqrt((share * (1 - share)) / rows + z ** 2 / (4 * rows ** 2));
  const middle = share + z ** 2 / (2 * rows);
  const scale = 1 + z ** 2 / rows;
  return {
    low: Math.max(0, (middle - spread) / scale),
    high: Math.min(1, (middle + spread) / scale),
  };
}
