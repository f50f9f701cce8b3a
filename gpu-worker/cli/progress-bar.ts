/** Shows how far a long step of a command is: a bar on a terminal, one line a step elsewhere. */
import { Presets, SingleBar } from "cli-progress";

export type ProgressBar = {
  /** A step begins where the words change. @param total null: not known, so that there is no bar */
  show(step: string, done: number, total: number | null): void;
  stop(): void;
};

/** @param unit behind the numbers */
export function openProgressBar(stream: NodeJS.WriteStream, unit = ""): ProgressBar {
  const format = `{bar} {percentage}% | {value}/{total}${unit} | {eta_formatted}`;
  const bar = new SingleBar({ format, stream, hideCursor: true }, Presets.shades_classic);
  let current: string | null = null;
  let running = false;
  const stop = () => {
    if (running) bar.stop();
    running = false;
  };
  return {
    show(step, done, total) {
      if (step !== current) {
        stop();
        stream.write(`${step}\n`);
        current = step;
      }
      if (total === null || !stream.isTTY) return;
      if (!running) bar.start(total, 0);
      running = true;
      bar.update(done);
    },
    stop,
  };
}

const megabyte = 1e6;

type Download = { step: string; bytes: number; totalBytes: number | null };

/** The bar of a download, in megabytes: `onProgress` is told of its bytes. */
export function openDownloadBar(stream: NodeJS.WriteStream) {
  const { show, stop } = openProgressBar(stream, " MB");
  const onProgress = ({ step, bytes, totalBytes }: Download): void => {
    const total = totalBytes === null ? null : Math.ceil(totalBytes / megabyte);
    show(step, Math.round(bytes / megabyte), total);
  };
  return { onProgress, stop };
}
