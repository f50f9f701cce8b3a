/**
 * A process of its own that judges a file nobody means, made as it is read, and prints the report and by how much its
 * memory grew over judging a small file. Run with the name of a file below.
 */
import { DataReport } from "#contract/training/report.ts";
import { judgeData } from "../../gpu-worker/datasets/judge-data.ts";

const mebibyte = Buffer.alloc(1 << 20, "a");

async function* repeated(times: number, first: string, chunk: Uint8Array = mebibyte) {
  yield Buffer.from(first);
  for (let at = 0; at < times; at += 1) yield chunk;
}

async function* lines(times: number, write: (at: number) => string) {
  const perChunk = 1_000;
  for (let at = 0; at < times; at += perChunk) {
    const own = Array.from({ length: Math.min(perChunk, times - at) }, (_, i) => write(at + i));
    yield Buffer.from(own.join(""));
  }
}

const labelled = (at: number) => `{"text":"${at}","label":"${at % 2}"}\n`;

const files: Readonly<Record<string, () => AsyncIterable<Uint8Array>>> = {
  small: () => lines(20_000, labelled),
  "a line of a gigabyte": () => repeated(1_024, `${labelled(0)}{"text":"`),
  "a quote that is never closed": () => repeated(1_024, 'text,label\n"'),
  "commas alone": () => repeated(1_024, "text,label\n", Buffer.alloc(1 << 20, ",")),
  "NULs after a good head": () => repeated(1_024, labelled(0).repeat(5_000), Buffer.alloc(1 << 20)),
  "a sentence without end": () =>
    repeated(60, "a O\nb B-X\n\n".repeat(10_000), Buffer.from("a B-X\n".repeat(5_000))),
  "a label for each line": () => lines(200_000, (at) => `{"text":"${at}","label":"l${at}"}\n`),
  "more texts than may be": () => lines(1_000_500, (at) => `${at}\n`),
  "fields of many names": () => lines(40_000, (at) => `{"text":"${at}","label":"a","f${at}":1}\n`),
  "quotes that swallow": () =>
    (async function* () {
      yield Buffer.from("text,label\n");
      yield* lines(200_000, (at) => `"${at}\n`);
    })(),
  "bad values without end": () =>
    lines(8, () => `{"tokens":[${"1,".repeat(99_000)}1],"tags":["O"]}\n`),
};

const [name = ""] = process.argv.slice(2);

async function judge(file: string) {
  const bytes = files[file];
  if (bytes === undefined) throw new Error(`there is no ${file}`);
  const named = file === "more texts than may be" ? "texts.txt" : null;
  const options = {
    signal: new AbortController().signal,
    tokens: null,
    onProgress: () => undefined,
  };
  const training = { name: named, bytes: bytes() };
  return DataReport.parse(await judgeData({ training, validation: null }, options)).training;
}

await judge("small");
const before = process.resourceUsage().maxRSS;
const { problems, ...report } = await judge(name);
const grownMebibytes = (process.resourceUsage().maxRSS - before) / 1_024;
const first = problems.slice(0, 3).map(({ line, code }) => `${line} ${code}`);
process.stdout.write(JSON.stringify({ ...report, first, listed: problems.length, grownMebibytes }));
