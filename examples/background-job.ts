/** Work that nobody waits for: accepted at once, asked for later. Plain fetch on a running stack. */
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";

type Job = { id: string; status: string; output: { data: unknown[] } | null };

const url = process.env["LLM_OS_URL"] ?? "http://127.0.0.1:8787";
const pollMs = 200;

const accepted = await fetch(`${url}/v1/embeddings`, {
  method: "POST",
  headers: { "content-type": "application/json", prefer: "respond-async" },
  body: JSON.stringify({ model: "all-MiniLM-L6-v2", input: ["one", "two", "three"] }),
});
console.log(`${accepted.status} ${accepted.headers.get("location")}`);

let job = (await accepted.json()) as Job;
while (job.status === "starting" || job.status === "processing") {
  await delay(pollMs);
  job = (await (await fetch(`${url}/v1/jobs/${job.id}`)).json()) as Job;
}
console.log(`${job.status}: ${job.output?.data.length ?? 0} vectors`);
