/** How long a text is as JSON Schema counts it. */
export function codePointsOf(text: string): number {
  return [...text].length;
}
