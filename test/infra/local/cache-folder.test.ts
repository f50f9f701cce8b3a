import path from "node:path";
import { expect, it } from "vitest";
import { cacheFolder } from "../../../infra/local/cache-folder.ts";

it.each([
  [{}, "/state"],
  [{ LLM_OS_CACHE: "" }, "/state"],
  [{ LLM_OS_CACHE: "/cache" }, "/cache"],
  [{ LLM_OS_CACHE: "cache" }, "cache"],
])("is, where the environment is %j, %s", (environment, folder) => {
  expect(cacheFolder("/state", environment)).toBe(path.resolve(folder));
});
