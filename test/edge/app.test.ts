/** What holds for every address: ids, CORS, callers, methods, and what is not there. */
import { describe, expect, it } from "vitest";
import { routes } from "../../edge/app.ts";
import { call, errorOf } from "./caller.ts";

describe("every answer", () => {
  it.each(["/", "/healthz", "/v1/models", "/openapi.json", "/nowhere", "/v1/embeddings"])(
    "of %s has an id and may be read by any page",
    async (path) => {
      const response = await call(path);
      expect(response.headers.get("x-request-id")).toMatch(/^req_[0-9a-f]{32}$/);
      expect(response.headers.get("access-control-allow-origin")).toBe("*");
      const exposed = response.headers.get("access-control-expose-headers");
      for (const name of ["x-request-id", "retry-after", "x-ratelimit-reset-tokens", "x-cache"]) {
        expect(exposed).toContain(name);
      }
    },
  );

  it("to a preflight allows what was asked for", async () => {
    const response = await call("/v1/embeddings", undefined, {
      method: "OPTIONS",
      headers: {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,x-stainless-lang",
      },
    });
    expect(response.status).toBe(204);
    expect(response.headers.get("access-control-allow-methods")).toContain("POST");
    expect(response.headers.get("access-control-allow-headers")).toBe(
      "authorization,x-stainless-lang",
    );
  });
});

describe("an address", () => {
  it.each(["/nowhere", "/v2/embeddings", "/v1", "/v1/chat", "/hf/models", "/internal/else"])(
    "%s that is not there is a 404",
    async (path) => {
      const response = await call(path);
      expect(response.status).toBe(404);
      expect(await response.text()).toContain("unknown_url");
    },
  );

  it.each(routes.map(({ path, on }) => [path, on] as const))(
    "%s says which methods it knows",
    async (path, on) => {
      const concrete = path.replaceAll(/:(\w+)(\{[^}]*\})?/g, "1");
      for (const method of ["PUT", "PATCH", "DELETE"].filter((each) => !(each in on))) {
        const response = await call(concrete, undefined, { method });
        expect(response.status).toBe(405);
        const allow = response.headers.get("allow");
        for (const known of Object.keys(on)) expect(allow).toContain(known);
        const text = await response.text();
        expect(text).toContain("method_not_allowed");
        expect(text).not.toContain("OPTIONS");
      }
    },
  );

  it("answers OPTIONS that is no preflight with the methods it knows", async () => {
    const response = await call("/v1/embeddings", undefined, { method: "OPTIONS" });
    expect([response.status, response.headers.get("allow")]).toEqual([204, "POST, OPTIONS"]);
    expect(await response.text()).toBe("");
    const jobs = await call("/v1/jobs/job_1", undefined, { method: "OPTIONS" });
    expect(jobs.headers.get("allow")).toBe("GET, DELETE, HEAD, OPTIONS");
  });

  it.each(["/healthz", "/openapi.json", "/v1/models", "/v1/models/all-MiniLM-L6-v2"])(
    "%s is the same with a slash at its end",
    async (path) => {
      const [without, withSlash] = await Promise.all([call(path), call(`${path}/`)]);
      expect(withSlash.status).toBe(200);
      expect(await withSlash.text()).toBe(await without.text());
    },
  );

  it("answers HEAD where it answers GET", async () => {
    const response = await call("/healthz", undefined, { method: "HEAD" });
    expect([response.status, await response.text()]).toEqual([200, ""]);
  });
});

describe("a key", () => {
  it("that is unknown is refused wherever keys count", async () => {
    const headers = { authorization: "Bearer sk-nobody" };
    for (const path of ["/v1/models", "/v1/jobs/job_0_00000000000000000000000000000000"]) {
      expect(await errorOf(await call(path, undefined, { headers }))).toMatchObject({
        status: 401,
        code: "invalid_api_key",
        type: "authentication_error",
      });
      const response = await call(path, undefined, { headers });
      expect(response.headers.get("www-authenticate")).toBe("Bearer");
    }
    expect((await call("/healthz", undefined, { headers })).status).toBe(200);
  });
});

describe("the open pages", () => {
  it("say that the edge answers", async () => {
    expect(await (await call("/healthz")).json()).toEqual({ status: "ok" });
  });

  it("describe the API once to who keeps what was read", async () => {
    const whole = await call("/openapi.json");
    const tag = whole.headers.get("etag") ?? "";
    expect(tag).toMatch(/^W\/"[0-9a-f]{40}"$/);
    const again = await call("/openapi.json", undefined, { headers: { "if-none-match": tag } });
    expect([again.status, await again.text()]).toEqual([304, ""]);
    expect(again.headers.get("etag")).toBe(tag);
    const other = await call("/openapi.json", undefined, { headers: { "if-none-match": '"x"' } });
    expect([other.status, await other.text()]).toEqual([200, await whole.text()]);
  });

  it("welcome a reader with models and samples for this very address", async () => {
    const response = await call("/");
    const page = await response.text();
    expect(response.headers.get("content-type")).toContain("text/html");
    expect(page).toContain("all-MiniLM-L6-v2");
    expect(page).toContain("curl https://edge.test/hf/models/all-MiniLM-L6-v2");
    expect(page).toContain("curl https://edge.test/v1/embeddings");
    expect(page).not.toMatch(/(src|href)="https?:/);
  });

  it("run the welcome page's own script, and no other", async () => {
    const response = await call("/");
    const [, script = ""] = /<script>(.*?)<\/script>/s.exec(await response.text()) ?? [];
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(script));
    const source = `'sha256-${btoa(String.fromCharCode(...new Uint8Array(digest)))}'`;
    expect(script).toContain("addEventListener");
    const policy = response.headers.get("content-security-policy") ?? "";
    expect(policy).toContain(`script-src ${source};`);
    expect(policy).not.toContain("unsafe");
  });

  it("draw the reference by the package's own file, which is sent once", async () => {
    const page = await call("/docs");
    expect(await page.text()).toContain('src="/docs/scalar.js"');
    expect(page.headers.get("content-security-policy")).toContain("script-src 'self'");
    const script = await call("/docs/scalar.js");
    expect(script.headers.get("content-type")).toContain("text/javascript");
    expect(await script.text()).toContain("@scalar/api-reference");
    const tag = script.headers.get("etag") ?? "";
    const again = await call("/docs/scalar.js", undefined, { headers: { "if-none-match": tag } });
    expect([again.status, await again.text()]).toEqual([304, ""]);
  });
});
