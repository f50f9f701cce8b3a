/** Run by itself, with V8's log on, because what V8 compiles is the whole process's. Prints what two threads gave. */
import { inThread } from "../../gpu-worker/event-loop/in-thread.ts";
import type { namesAfter as Exported } from "./many-modules.ts";

/** By its name alone: here the module is not loaded. */
const namesAfter: typeof Exported = (prefix) => prefix;

const { signal } = new AbortController();
const module = new URL("many-modules.ts", import.meta.url).href;
const given = ["first", "second"].map((prefix) =>
  inThread(module, namesAfter, [prefix], { signal }),
);
console.log((await Promise.all(given)).join("\n"));
