/**
 * What a benchmark is: `bench/NAME.ts` exports `bench`, and `npm run bench -- NAME` runs it, prints its rows as a table
 * and ends with one JSON line. A benchmark measures; whether a figure is good enough is decided by whoever reads it.
 */

/** One measured figure beside its peer's and the machine's limit; what was not measured in this run is null. */
export type Row = {
  name: string;
  /** `ms`, `req/s`, `texts/s` …; it also says which way is better, see `ratioOf`. */
  unit: string;
  ours: number;
  peer: number | null;
  peerName: string | null;
  /** Above 1 ours is better. Null unless the peer was measured in this run. */
  ratio: number | null;
  /** Share of the physical limit measured in this run that ours reaches, 0…1. */
  limitFraction: number | null;
};

export type BenchContext = {
  /** Prints a line for people, above the table. */
  print: (line: string) => void;
  /** Aborted on Ctrl-C: whatever was started must be stopped. */
  signal: AbortSignal;
  /** What followed the name on the command line. */
  args: readonly string[];
};

export type Bench = {
  /** One line for the list of benchmarks. */
  summary: string;
  /** @throws where it could not run at all; a poor figure is a row, not an error */
  run: (context: BenchContext) => Promise<Row[]>;
};

/** A figure with neither peer nor limit. */
export function plainRow(name: string, unit: string, ours: number): Row {
  return { name, unit, ours, peer: null, peerName: null, ratio: null, limitFraction: null };
}

/** A figure beside a peer's, measured in this run. */
export function comparedRow(
  name: string,
  unit: string,
  ours: number,
  peer: { name: string; value: number },
): Row {
  const ratio = ratioOf(unit, ours, peer.value);
  return { ...plainRow(name, unit, ours), peer: peer.value, peerName: peer.name, ratio };
}

/** A duration, a size or a difference is better when lower; everything else, rates above all, when higher. */
const lowerIsBetter = new Set(["ns", "µs", "ms", "s", "B", "KiB", "MiB", "GiB", "ms/req"]);

function ratioOf(unit: string, ours: number, peer: number): number {
  return lowerIsBetter.has(unit) ? peer / ours : ours / peer;
}
