/** The headers of answers as published: what each says, and which answers have it. */

type Header = { description: string; schema: object; example: string | number };

/** Of examples. */
export const requestId = "req_5f0c8a0e7b1d4c2f9a3e6d8b7c5a4f21";

const text = { type: "string" };
const count = { type: "integer", minimum: 0 };

const headers = {
  "x-request-id": {
    description: "Names this call, for questions about it.",
    schema: text,
    example: requestId,
  },
  "x-ratelimit-limit-requests": {
    description: "Requests a minute. The operator has no limit, and is sent none of these.",
    schema: count,
    example: 60,
  },
  "x-ratelimit-remaining-requests": {
    description: "Requests left of this minute.",
    schema: count,
    example: 59,
  },
  "x-ratelimit-reset-requests": {
    description: "How long until all of them are there again.",
    schema: text,
    example: "1s",
  },
  "x-ratelimit-limit-tokens": {
    description: "Units a day; a unit is a token that was read or written.",
    schema: count,
    example: 100_000,
  },
  "x-ratelimit-remaining-tokens": {
    description: "Units left of today.",
    schema: count,
    example: 99_991,
  },
  "x-ratelimit-reset-tokens": {
    description: "How long until the next day begins.",
    schema: text,
    example: "10h32m5s",
  },
  "retry-after": {
    description:
      "Whole seconds until another request can be let through. Absent: today's units are used.",
    schema: count,
    example: 1,
  },
  "x-should-retry": {
    description: "false: the same request cannot succeed today.",
    schema: text,
    example: "false",
  },
  "x-warnings": {
    description: "What was not done to the letter: texts cut, fields not acted on.",
    schema: text,
    example: "user: accepted and not acted on",
  },
  "x-cache": {
    description: "Whether the answer came from the cache.",
    schema: { type: "string", enum: ["hit", "miss", "bypass"] },
    example: "miss",
  },
  "x-model-digest": {
    description: "The model's bytes and the form it is computed in.",
    schema: text,
    example: "1c2b7d0c9d4e",
  },
  "x-method": {
    description: "How it was computed, where a task has several ways.",
    schema: text,
    example: "similarity",
  },
  "x-job-id": {
    description: "The job that computed it. Absent: none did.",
    schema: text,
    example: "job_3_000000000000000000000000000000b3",
  },
  location: {
    description: "Where to ask for the job.",
    schema: text,
    example: "/v1/jobs/job_3_000000000000000000000000000000b3",
  },
  "preference-applied": {
    description: "What of Prefer was understood.",
    schema: text,
    example: "respond-async",
  },
} as const satisfies Record<string, Header>;

export type HeaderName = keyof typeof headers;

/** All that an answer may have. */
export const headerNames: readonly string[] = Object.keys(headers);

const limits: readonly HeaderName[] = [
  "x-ratelimit-limit-requests",
  "x-ratelimit-remaining-requests",
  "x-ratelimit-reset-requests",
  "x-ratelimit-limit-tokens",
  "x-ratelimit-remaining-tokens",
  "x-ratelimit-reset-tokens",
];

/** Of an answer that shows a result. */
const resultHeaders: readonly HeaderName[] = ["x-warnings", "x-model-digest", "x-method"];

/** Of answers, by what they are. `job`: of a call that has a model run. */
export const headersOf = {
  any: ["x-request-id"],
  result: ["x-request-id", "x-job-id", ...resultHeaders],
  job: ["x-request-id", "x-job-id", ...resultHeaders, "x-cache", ...limits],
  accepted: [
    "x-request-id",
    "x-job-id",
    ...resultHeaders,
    "x-cache",
    ...limits,
    "location",
    "preference-applied",
  ],
} as const satisfies Record<string, readonly HeaderName[]>;

/** @param status of an error */
export function errorHeaders(status: number): readonly HeaderName[] {
  if (status === 429) return ["x-request-id", ...limits, "retry-after", "x-should-retry"];
  const ofJobs: readonly HeaderName[] = ["x-job-id", "x-cache", ...limits];
  if (status === 504) return ["x-request-id", ...ofJobs, "location"];
  return status === 400 || status === 500 ? ["x-request-id", ...ofJobs] : ["x-request-id"];
}

export function headerRefs(names: readonly HeaderName[]): object {
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}

/** Each of them, as a component. */
export const headerComponents: Readonly<Record<HeaderName, Header>> = headers;
