/** Records of CSV against csv-parse, on tables that were made by a seed. */
import { parse } from "csv-parse/sync";
import { expect, it } from "vitest";
import { hasWholeQuotes, splitRecord } from "#contract/training/csv-record.ts";
import { LineSplitter } from "../../gpu-worker/datasets/lines.ts";
import { tableRows } from "../../gpu-worker/datasets/table-rows.ts";
import { randomFrom } from "../random-from.ts";

const random = randomFrom(7);
const parts = ["a", "é😀", '"', ",", ";", "\n", " ", "", "'", "\\"];

function field(): string {
  return Array.from({ length: random(5) }, () => parts[random(parts.length)] ?? "").join("");
}

it("splits a record as csv-parse does, or refuses it as that does", () => {
  let refused = 0;
  for (let round = 0; round < 5_000; round += 1) {
    const text = Array.from({ length: 1 + random(4) }, () =>
      random(2) === 0 ? field() : `"${field().replaceAll('"', '""')}"`,
    ).join(",");
    if (text === "" || text.replaceAll(/"[^"]*"/g, "").includes("\n")) continue;
    let expected: string[] | null = null;
    try {
      expected = parse(text, { record_delimiter: "\u0000" })[0] ?? null;
    } catch {
      refused += 1;
    }
    const own = hasWholeQuotes(text, ",") ? splitRecord(text, ",") : null;
    expect([text, own]).toEqual([text, expected]);
  }
  expect(refused).toBeGreaterThan(100);
});

it("reads tables as csv-parse does", () => {
  for (let round = 0; round < 200; round += 1) {
    const table = Array.from({ length: 1 + random(20) }, () => ["x", field(), field()]);
    const lines = table.map((row) =>
      row.map((each) => `"${each.replaceAll('"', '""')}"`).join(","),
    );
    const content = ["id,text,label", ...lines].join(random(2) === 0 ? "\n" : "\r\n");
    const expected = parse(content, { columns: true });
    const reader = tableRows({
      container: "csv",
      delimiter: ",",
      columns: ["id", "text", "label"],
    });
    const splitter = new LineSplitter();
    const read = [...splitter.push(Buffer.from(content)), ...splitter.end()];
    const rows = [...read.flatMap((line) => [...reader.push(line)]), ...reader.end()];
    expect(rows.map((row) => ("fields" in row ? row.fields : row.faults))).toEqual(expected);
  }
});
