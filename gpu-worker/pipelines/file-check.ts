/** Judges training files, one at a time: what each is told apart by takes memory. */
import { judgeFile } from "../datasets/judge-file.ts";
import type { FilePipeline } from "./pipeline.ts";

export const fileCheck: FilePipeline<"file-check"> = {
  kind: "file",
  async answer({ inputs }, { open, signal, onProgress }) {
    const total = inputs.reduce((sum, { reference }) => sum + reference.bytes, 0);
    const reports = [];
    let before = 0;
    for (const { filename, reference } of inputs) {
      const source = { name: filename, bytes: open(reference) };
      const judged = await judgeFile(source, {
        signal,
        tokens: null,
        training: null,
        onProgress: (bytes) => onProgress(before + bytes, total),
      });
      before += reference.bytes;
      reports.push(judged.report);
    }
    return reports;
  },
};
