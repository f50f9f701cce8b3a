/** Rows of a benchmark as a text table, one line a row, aligned for a terminal. */
import type { Row } from "../bench.ts";

const headers = ["", "ours", "peer", "ratio", "of limit"];

/** @returns lines without newline at the end; figures to four significant digits */
export function formatTable(rows: readonly Row[]): string {
  const cells = [headers, ...rows.map(cellsOf)];
  const widths = headers.map((_, column) =>
    Math.max(...cells.map((line) => line[column]?.length ?? 0)),
  );
  return cells
    .map((line) => line.map((cell, i) => pad(cell, widths[i] ?? 0, i)).join("  "))
    .join("\n");
}

function cellsOf(row: Row): string[] {
  return [
    row.name,
    `${figure(row.ours)} ${row.unit}`,
    row.peer === null ? "–" : `${figure(row.peer)} ${row.unit} (${row.peerName ?? "peer"})`,
    row.ratio === null ? "–" : `${row.ratio.toFixed(2)}×`,
    row.limitFraction === null ? "–" : `${(row.limitFraction * 100).toFixed(0)} %`,
  ];
}

function pad(cell: string, width: number, column: number): string {
  return column === 0 ? cell.padEnd(width) : cell.padStart(width);
}

export function figure(value: number): string {
  if (Math.abs(value) >= 1_000) return Math.round(value).toString();
  return Number(value.toPrecision(4)).toString();
}
