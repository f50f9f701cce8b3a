/** An object store that has tuned models, as training leaves them: a real S3 server, and folders put into it. */
import { createHash, randomBytes } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { AwsClient } from "aws4fetch";
import type { FauxqsServer } from "fauxqs";
import type { TunedModelSource } from "../../contract/training/tuned-model.ts";
import { digestOfFiles } from "../../gpu-worker/downloads/tuned-folders.ts";
import { openTestObjects, startQueueServer } from "../jobs/rig.ts";

export class TunedStore {
  readonly #server: FauxqsServer;
  readonly #client = new AwsClient({
    accessKeyId: "test",
    secretAccessKey: "test",
    region: "auto",
    service: "s3",
    retries: 0,
  });
  /** Of objects that were opened, in order. */
  readonly opened: string[] = [];

  private constructor(server: FauxqsServer) {
    this.#server = server;
  }

  static async start(): Promise<TunedStore> {
    return new TunedStore(await startQueueServer(0));
  }

  /** As a worker opens them. */
  openObject() {
    const objects = openTestObjects(this.#server.port);
    return (...[reference, signal]: Parameters<typeof objects.open>) => {
      this.opened.push(reference.key);
      return objects.open(reference, signal);
    };
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    await this.#call("PUT", key, bytes);
  }

  async remove(key: string): Promise<void> {
    await this.#call("DELETE", key);
  }

  /** The files of a folder, under a name of their own. */
  async putFolder(folder: string, name = tunedName()): Promise<TunedModelSource> {
    const names = await readdir(folder, { recursive: true });
    const files: TunedModelSource["files"] = [];
    for (const file of names.toSorted()) {
      if ((await stat(path.join(folder, file))).isDirectory()) continue;
      const bytes = await readFile(path.join(folder, file));
      const object = { key: `tuned/${name.slice(-32)}/${file}`, ...referenceTo(bytes) };
      await this.put(object.key, bytes);
      files.push({ path: file, object });
    }
    return { name, digest: digestOfFiles(files), files };
  }

  async stop(): Promise<void> {
    await this.#server.stop();
  }

  async #call(method: string, key: string, body?: Uint8Array): Promise<void> {
    const url = `http://127.0.0.1:${this.#server.port}/files/${key}`;
    const answer = await this.#client.fetch(url, {
      method,
      ...(body && { body: Buffer.from(body) }),
    });
    if (!answer.ok) throw new Error(`${method} ${key} was answered ${answer.status}`);
  }
}

export function referenceTo(bytes: Uint8Array): { bytes: number; sha256: string } {
  return { bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
}

export function tunedName(base = "tiny"): string {
  return `ft:${base}:test:${randomBytes(16).toString("hex")}`;
}
