/**
 * A request's share of the bytes of bodies that this isolate holds. Small bodies never wait; larger ones do, in two
 * queues, so that those of usual size do not stand behind the largest. An isolate has 128 MB, and a body is held
 * several times over while it is parsed, checked, hashed and put away.
 */
import { ByteSemaphore } from "./byte-semaphore.ts";

/** Up to this size a body needs no permit. */
export const smallBodyBytes = 64 * 1024;
const mediumBodyBytes = 1024 * 1024;
/** As long as the parts of a request before its computation may take. */
const holdMsMax = 120_000;

const now = () => Date.now();
const medium = new ByteSemaphore({ bytesMax: 4 * 1024 * 1024, holdMsMax, now });
const large = new ByteSemaphore({ bytesMax: 8 * 1024 * 1024, holdMsMax, now });
const stored = new ByteSemaphore({ bytesMax: 4 * 1024 * 1024, holdMsMax, now });

declare module "../context.ts" {
  interface Variables {
    /** Of the call's body, until its job is formed. */
    bodyPermit: BodyPermit | undefined;
  }
}

export class BodyPermit {
  readonly #request: Request;
  #release: () => void = () => {};
  #releaseStored: () => void = () => {};

  constructor(request: Request) {
    this.#request = request;
  }

  /** Once, for a body that is not small. @throws the signal's reason where the caller hangs up */
  async acquire(bytes: number): Promise<void> {
    const semaphore = bytes > mediumBodyBytes ? large : medium;
    this.#release = await semaphore.acquire(bytes, this.#request.signal);
  }

  /** For what was stored and is read beside the body, as `acquire`: those who hold it wait for no other. */
  async acquireStored(bytes: number): Promise<void> {
    this.#releaseStored = await stored.acquire(bytes, this.#request.signal);
  }

  /** Nothing of the body is held any more. May be called again. */
  release(): void {
    this.#release();
    this.#releaseStored();
  }
}
