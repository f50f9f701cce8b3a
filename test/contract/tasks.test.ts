import { expect, it } from "vitest";
import { formatJobId, JobId, shardOfJobId } from "#contract/job-id.ts";
import { tasks } from "#contract/tasks.ts";

it("finds the shard in a job's id, and nothing in what is no job id", () => {
  const id = formatJobId(13, "0123456789abcdef0123456789abcdef");
  expect(JobId.parse(id)).toBe(id);
  expect(shardOfJobId(id)).toBe(13);
  for (const wrong of ["job_13_xyz", "job__0", "", `${id}0`, `x${id}`]) {
    expect(shardOfJobId(wrong)).toBeNull();
  }
});

it("refuses an unknown parameter and an empty text, and names them", () => {
  const { input, parameters } = tasks["feature-extraction"];
  expect(input.safeParse("").success).toBe(false);
  const parsed = parameters.safeParse({ normalise: true });
  expect(parsed.success).toBe(false);
  expect(JSON.stringify(parsed.error?.issues)).toContain("normalise");
});
