/** When a stack is ready: the list of an edge that hears late of its worker's models, in a server of the test's own. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import type { WorkerModel } from "../../../infra/local/child-protocol.ts";
import { ModelWatch } from "../../../infra/local/model-watch.ts";

type Row = WorkerModel & { loaded: boolean; reason?: string };

const encoder: Row = {
  id: "encoder",
  status: "available",
  tasks: ["feature-extraction"],
  loaded: true,
};
const added: Row = { ...encoder, id: "added", loaded: false };

/** An edge that answers each question with the next of these lists, and the last again and again. */
async function edgeWith(lists: Row[][]) {
  let asked = 0;
  const server = createServer(({ url }, response) => {
    const data = lists[Math.min(asked, lists.length - 1)];
    if (url === "/v1/models") asked += 1;
    response.end(JSON.stringify(url === "/v1/models" ? { object: "list", data } : {}));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, asked: () => asked };
}

const { signal } = new AbortController();

it.each<{ what: string; early: Row[]; worker: WorkerModel[] }>([
  { what: "a model that was added", early: [encoder], worker: [encoder, added] },
  {
    what: "a model that cannot be served any more",
    early: [encoder, { ...added, status: "available" }],
    worker: [encoder, { ...added, status: "failed" }],
  },
  {
    what: "a model that does something else now",
    early: [encoder, { ...added, tasks: ["fill-mask"] }],
    worker: [encoder, added],
  },
])("waits until the edge knows of $what", async ({ early, worker }) => {
  const late = worker.map((model) => ({ ...model, loaded: model.id === "encoder" }));
  const edge = await edgeWith([early, early, late]);
  const watch = new ModelWatch(edge.url, "key", () => {});
  await watch.untilServing(Promise.resolve(), { workers: () => [worker], signal });
  expect(edge.asked()).toBe(3);
});

it("takes what one of two workers that differ has", async () => {
  const edge = await edgeWith([[encoder, added]]);
  const watch = new ModelWatch(edge.url, "key", () => {});
  const other: WorkerModel[] = [encoder, { ...added, status: "downloading" }];
  await watch.untilServing(Promise.resolve(), { workers: () => [[encoder, added], other], signal });
  expect(edge.asked()).toBe(1);
});
