/** The demo's conversation where its model is not here yet, or cannot be had: an edge that answers as it is told to. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { ApiClient } from "../../../infra/local/demo/api-client.ts";
import { chat } from "../../../infra/local/demo/chat-step.ts";

/** Each question about the model is answered by the next of these. */
async function edgeWith(states: object[]) {
  const asked: string[] = [];
  const server = createServer(({ url = "" }, response) => {
    asked.push(url);
    if (url.startsWith("/v1/models/")) return void response.end(JSON.stringify(states.shift()));
    const choices = [{ index: 0, delta: { content: "It is Paris." }, finish_reason: "stop" }];
    response.setHeader("content-type", "text/event-stream");
    response.end(`data: ${JSON.stringify({ choices })}\n\ndata: [DONE]\n\n`);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const api = new ApiClient(`http://127.0.0.1:${port}`, "key");
  return { asked, run: () => chat.run({ api, receiver: null, salt: "" }) };
}

const downloading = { status: "downloading", progress: 0.4 };

it("waits for the model while it is fetched, and then asks it", async () => {
  const { asked, run } = await edgeWith([downloading, { status: "available" }]);
  expect((await run())[1]).toBe("It is Paris.");
  expect(asked).toEqual([
    ...Array.from({ length: 2 }, () => "/v1/models/SmolLM2-135M-Instruct"),
    "/v1/chat/completions",
  ]);
});

it("says why where the model cannot be had", async () => {
  const reason = "the hub cannot be reached";
  const { run } = await edgeWith([downloading, { status: "failed", reason }]);
  expect(await run()).toEqual([`not shown, for SmolLM2-135M-Instruct is not here: ${reason}`]);
});
