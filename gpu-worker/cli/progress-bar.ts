/** Shows how far a long step of a command is: a bar on a terminal, one line a step elsewhere. */
import { Presets, SingleBar } from "cli-progress";

export type WorkBar = {
  /** A step begins where the words change. @param total null: not known, so that there is no bar */
  show(words: string, done: number, total: number | null): void;
  stop(): void;
};

/** @param unit behind the numbers */
export function openWorkBar(stream: NodeJS.WriteStream, unit = ""): WorkBar {
  const format = `{bar} {percentage}% | {value}/{total}${unit} | {eta_formatted}`;
  const bar = new SingleBar({ format, stream, hideCursor: true }, Presets.shades_classic);
  let step: string | null = null;
  let running = false;
  const stop = () => {
    if (running) bar.stop();
    running = false;
  };
  return {
    show(words, done, total) {
      if (words !== step) {
        stop();
        stream.write(`${words}\n`);
        step = words;
      }
      if (total === null || !stream.isTTY) return;
      if (!running) bar.start(total, 0);
      running = true;
      bar.update(done);
    },
    stop,
  };
}
