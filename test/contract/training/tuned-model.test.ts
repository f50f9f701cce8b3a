/** Where files of a tuned model may lie: below its folder, whatever a message says. */
import { describe, expect, it } from "vitest";
import { JobMessage } from "../../../contract/job-message.ts";
import { tunedModelBounds } from "../../../contract/training/tuned-model.ts";

const name = `ft:all-MiniLM-L6-v2:mine:${"0a".repeat(16)}`;
const object = { key: "tuned/0", bytes: 1, sha256: "ab".repeat(32) };

function isMessage(tuned: object): boolean {
  const message = {
    version: 1,
    id: `job_0_${"0".repeat(32)}`,
    shard: 0,
    tenant: "operator",
    model: name,
    requestKey: null,
    createdAt: 1,
    task: "load-model",
    parameters: {},
    inputs: [{}],
  };
  return JobMessage.safeParse({
    ...message,
    tuned: { name, digest: "cd".repeat(32), files: [{ path: "a", object }], ...tuned },
  }).success;
}

describe("a message for a tuned model", () => {
  it.each(["config.json", "1_Pooling/config.json", "a/b/c-d_e.f", "...a", ".hidden"])(
    "may have a file at %s",
    (path) => expect(isMessage({ files: [{ path, object }] })).toBe(true),
  );

  it.each([
    "../a",
    "/a",
    "a/../../b",
    "a/./b",
    "a/..",
    "..",
    ".",
    "a//b",
    "a/",
    String.raw`a\b`,
    String.raw`C:\b`,
    "a\nb",
    "..\n",
    "a\0b",
    "",
    "a".repeat(tunedModelBounds.pathCharactersMax + 1),
  ])("is none with a file at %j", (path) => {
    expect(isMessage({ files: [{ path, object }] })).toBe(false);
  });

  it("is none with more files than it may have, or none, or another kind of name", () => {
    const many = Array.from({ length: tunedModelBounds.filesMax + 1 }, (_, at) => ({
      path: `f${at}`,
      object,
    }));
    expect(isMessage({})).toBe(true);
    expect(isMessage({ files: many })).toBe(false);
    expect(isMessage({ files: [] })).toBe(false);
    expect(isMessage({ name: "all-MiniLM-L6-v2" })).toBe(false);
    expect(isMessage({ name: "ft:../..:mine" })).toBe(false);
  });
});
