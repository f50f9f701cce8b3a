/** Shows a download on a terminal: a bar where the size is known, the name of the step where it is not. */
import type { FetchProgress } from "../catalog/sources/fetch-model.ts";
import { openWorkBar } from "./progress-bar.ts";

export type FetchBar = { show: (progress: FetchProgress) => void; stop: () => void };

const megabyte = 1e6;

export function openFetchBar(stream: NodeJS.WriteStream): FetchBar {
  const { show, stop } = openWorkBar(stream, " MB");
  return {
    show: ({ step, bytes, totalBytes }) =>
      show(
        step,
        Math.round(bytes / megabyte),
        totalBytes === null ? null : Math.ceil(totalBytes / megabyte),
      ),
    stop,
  };
}
