/**
 * Shows a download on a terminal: a bar where the size is known, the name of the step where it is not. On anything but a
 * terminal each step is one line, so that a log stays readable.
 */
import { Presets, SingleBar } from "cli-progress";
import type { FetchProgress } from "../catalog/sources/fetch-model.ts";

export type FetchBar = { show: (progress: FetchProgress) => void; stop: () => void };

const megabyte = 1e6;

export function openFetchBar(stream: NodeJS.WriteStream): FetchBar {
  const format = "{bar} {percentage}% | {value}/{total} MB | {eta_formatted}";
  const bar = new SingleBar({ format, stream, hideCursor: true }, Presets.shades_classic);
  let step: string | null = null;
  let running = false;
  const stop = () => {
    if (running) bar.stop();
    running = false;
  };
  return {
    show({ step: words, bytes, totalBytes }) {
      if (words !== step) {
        stop();
        stream.write(`${words}\n`);
        step = words;
      }
      if (totalBytes === null || !stream.isTTY) return;
      const total = Math.ceil(totalBytes / megabyte);
      if (!running) bar.start(total, 0);
      running = true;
      bar.update(Math.round(bytes / megabyte));
    },
    stop,
  };
}
