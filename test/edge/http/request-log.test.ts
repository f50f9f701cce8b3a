/**
 * The lines of the log for requests: one for each failure, bounded for floods of refusals, and a share of the
 * successes.
 */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { bindingsWith, call, freshAddress } from "../caller.ts";

const told = { warn: vi.fn(), error: vi.fn(), log: vi.fn() };

/** Of tests, each in a minute of its own: before it, other files' refusals may have gone untold. */
let minutes = 0;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
  minutes += 1;
  vi.setSystemTime(Date.now() + 61_000 * minutes);
  for (const level of ["warn", "error", "log"] as const) {
    vi.spyOn(console, level).mockImplementation(told[level].mockReset());
  }
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

function lines(level: keyof typeof told): Record<string, unknown>[] {
  return told[level].mock.calls.map(([line]) => JSON.parse(line));
}

describe("the log of requests", () => {
  it("names a refusal by id, route, status and code, and nothing that its caller sent", async () => {
    const body = { model: "all-MiniLM-L6-v2", input: "my secret", shape: "round" };
    const response = await call("/v1/embeddings", body, { address: freshAddress() });
    expect(response.status).toBe(400);
    expect(lines("warn")).toEqual([
      {
        event: "request.refused",
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
        requestId: response.headers.get("x-request-id"),
        method: "POST",
        route: "/v1/embeddings",
        status: 400,
        code: "unknown_parameter",
        ms: expect.any(Number),
        untold: expect.any(Number),
      },
    ]);
  });

  it.each([
    ["/v1/models/somebody/model", "/v1/models/:id", "model_not_found"],
    ["/v1/jobs/job_0_00000000000000000000000000000000", "/v1/jobs/:id", "not_found"],
    [
      "/v1/jobs/job_0_00000000000000000000000000000000/output",
      "/v1/jobs/:id/output",
      "insufficient_permissions",
    ],
    ["/some/where", null, "unknown_url"],
  ])("of %s has the route as %s", async (path, route, code) => {
    await call(path, undefined, { address: freshAddress() });
    expect(lines("warn")).toMatchObject([{ route, code }]);
  });

  it("tells of a flood of one refusal in twenty lines a minute, and then how many there were", async () => {
    const address = freshAddress();
    const headers = { authorization: "Bearer sk-nobody" };
    await call("/v1/embeddings", undefined, { method: "PUT", address });
    told.warn.mockClear();
    for (let i = 0; i < 50; i++) await call("/v1/models", undefined, { address, headers });
    expect(lines("warn")).toHaveLength(20);
    await call("/v1/embeddings", undefined, { method: "PUT", address });
    expect(lines("warn").at(-1)).toMatchObject({ code: "method_not_allowed", untold: 0 });
    minutes += 1;
    vi.setSystemTime(Date.now() + 61_000);
    await call("/v1/models", undefined, { address, headers });
    expect(lines("warn").at(-1)).toMatchObject({ code: "invalid_api_key", untold: 30 });
  });

  it("has every failure of ours, with its cause", async () => {
    const bindings = bindingsWith({ FREE_REQUESTS_PER_MINUTE: "none" });
    for (let i = 0; i < 30; i++) {
      expect((await call("/v1/models", undefined, { bindings })).status).toBe(500);
    }
    expect(lines("error")).toHaveLength(30);
    expect(lines("error")[0]).toMatchObject({
      event: "request.failed",
      route: "/v1/models",
      status: 500,
      code: "internal_error",
      cause: expect.stringContaining("FREE_REQUESTS_PER_MINUTE"),
    });
  });

  it.each([
    ["1", 40],
    ["0", 0],
  ])("has a share of %s of the successes", async (share, count) => {
    const bindings = bindingsWith({ LOG_SUCCESS_SHARE: share });
    for (let i = 0; i < 40; i++) await call("/healthz", undefined, { bindings });
    expect(lines("log")).toHaveLength(count);
    for (const line of lines("log")) {
      expect(line).toMatchObject({ event: "request.succeeded", route: "/healthz", status: 200 });
    }
  });
});
