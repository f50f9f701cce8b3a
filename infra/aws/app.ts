/** Entry point of `cdk`, named in cdk.json. */
import process from "node:process";
import * as z from "zod";
import { createApp } from "./create-app.ts";

const Environment = z.object({
  AWS_REGION: z.string().default("us-east-1"),
  LLM_OS_GPU_INSTANCE: z.string().default("g6.xlarge"),
  LLM_OS_TASKS_MAX: z.coerce.number().int().min(1).max(1_000).default(8),
});

const { AWS_REGION, LLM_OS_GPU_INSTANCE, LLM_OS_TASKS_MAX } = Environment.parse(process.env);

createApp({
  region: AWS_REGION,
  instanceType: LLM_OS_GPU_INSTANCE,
  tasksMax: LLM_OS_TASKS_MAX,
}).synth();
