/** The straight line through measured points, by least squares, and how sure its slope is. */
export type Point = { x: number; y: number };
export type Slope = {
  slope: number;
  /** Half of the slope's 95 % interval, for errors that are normal and independent. */
  margin: number;
};

/** @param points at least three */
export function slopeOf(points: readonly Point[]): Slope {
  const count = points.length;
  const meanX = points.reduce((sum, { x }) => sum + x, 0) / count;
  const meanY = points.reduce((sum, { y }) => sum + y, 0) / count;
  const spread = points.reduce((sum, { x }) => sum + (x - meanX) ** 2, 0);
  const slope = points.reduce((sum, { x, y }) => sum + (x - meanX) * (y - meanY), 0) / spread;
  const squares = points.reduce((sum, { x, y }) => {
    return sum + (y - meanY - slope * (x - meanX)) ** 2;
  }, 0);
  return { slope, margin: 2 * Math.sqrt(squares / (count - 2) / spread) };
}
