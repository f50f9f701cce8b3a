/**
 * The table of contents of the API: every address, its methods and the file that answers it. A method that an address
 * does not know is a 405 that names those it does, OPTIONS a 204 that does; an address that is not here is a 404.
 */
import { Hono } from "hono";
import { etag } from "hono/etag";
import { caller } from "./accounts/caller.ts";
import { outcomeHeaders } from "./accounts/outcome-headers.ts";
import { refusals } from "./accounts/refusals.ts";
import { answerFailure, answerOtherMethods, answerUnknownUrl } from "./answers/answer-failure.ts";
import type { EdgeContext, EdgeEnv } from "./context.ts";
import { cors } from "./http/cors.ts";
import { requestId } from "./http/request-id.ts";
import { requestLog } from "./http/request-log.ts";
import { getOpenApi } from "./openapi/get-openapi.ts";
import { deleteAlias, getAlias, listAliases, pointAlias, rollBackAlias } from "./routes/aliases.ts";
import { augment, exportAugmentation } from "./routes/augment.ts";
import { createChatCompletion } from "./routes/chat-completions.ts";
import { createTuningJob } from "./routes/create-tuning-job.ts";
import { createCompletion } from "./routes/completions.ts";
import { createEmbeddings } from "./routes/embeddings.ts";
import {
  createFile,
  deleteFile,
  getFile,
  getFileContent,
  getFileReport,
  listFiles,
} from "./routes/files.ts";
import {
  cancelTuningJob,
  getTuningJob,
  listTuningJobs,
  pauseTuningJob,
  resumeTuningJob,
} from "./routes/fine-tuning.ts";
import { listTuningCheckpoints, listTuningEvents } from "./routes/fine-tuning-events.ts";
import { countFeedback, deleteFeedback, exportFeedback, giveFeedback } from "./routes/feedback.ts";
import { getHealth } from "./routes/health.ts";
import { runPipeline } from "./routes/hugging-face.ts";
import { openEvents, receiveEvents } from "./routes/internal-events.ts";
import { claimTuningJob, takeTuningReport } from "./routes/internal-training.ts";
import { announceWorker } from "./routes/internal-workers.ts";
import { listDeliveries } from "./routes/job-deliveries.ts";
import { readEvents } from "./routes/job-events.ts";
import { getJobOutput } from "./routes/job-output.ts";
import { cancelJob, getJob } from "./routes/jobs.ts";
import { deleteModel, getModel, listModels } from "./routes/models.ts";
import { getReferenceScript, showReference } from "./routes/reference.ts";
import { evaluatePrompt, listPromptEvaluations } from "./routes/prompt-evaluations.ts";
import {
  createPrompt,
  createPromptVersion,
  deletePrompt,
  deletePromptVersion,
  getPrompt,
  getPromptVersion,
  listPrompts,
  listPromptVersions,
} from "./routes/prompts.ts";
import { createRerank, createTeiRerank } from "./routes/rerank.ts";
import { runTask } from "./routes/tasks.ts";
import {
  cancelResponse,
  createResponse,
  deleteResponse,
  getResponse,
  listInputItems,
} from "./routes/responses.ts";
import { askForRetune, deleteRetune, getRetune } from "./routes/retunes.ts";
import { createText, createTokens } from "./routes/tokens.ts";
import { showWelcome } from "./routes/welcome.ts";

type Method = "GET" | "POST" | "DELETE";
type Handler = (c: EdgeContext) => Response | Promise<Response>;
type Route = {
  path: string;
  on: { [M in Method]?: Handler };
  /** The address itself is the permission: no key is looked at. */
  signed?: true;
};

/** `{.+}`: the rest of the address, slashes and all; model ids hold them. */
export const routes: readonly Route[] = [
  { path: "/", on: { GET: showWelcome } },
  { path: "/docs", on: { GET: showReference } },
  { path: "/docs/scalar.js", on: { GET: getReferenceScript } },
  { path: "/healthz", on: { GET: getHealth } },
  { path: "/openapi.json", on: { GET: getOpenApi } },
  { path: "/v1/chat/completions", on: { POST: createChatCompletion } },
  { path: "/v1/completions", on: { POST: createCompletion } },
  { path: "/v1/responses", on: { POST: createResponse } },
  { path: "/v1/responses/:id", on: { GET: getResponse, DELETE: deleteResponse } },
  { path: "/v1/responses/:id/cancel", on: { POST: cancelResponse } },
  { path: "/v1/responses/:id/input_items", on: { GET: listInputItems } },
  { path: "/v1/embeddings", on: { POST: createEmbeddings } },
  { path: "/v1/rerank", on: { POST: createRerank } },
  { path: "/v2/rerank", on: { POST: createRerank } },
  { path: "/v1/tokenize", on: { POST: createTokens } },
  { path: "/v1/detokenize", on: { POST: createText } },
  { path: "/rerank", on: { POST: createTeiRerank } },
  { path: "/v1/augment", on: { POST: augment } },
  { path: "/v1/augment/export", on: { POST: exportAugmentation } },
  { path: "/v1/files", on: { GET: listFiles, POST: createFile } },
  { path: "/v1/files/:id", on: { GET: getFile, DELETE: deleteFile } },
  { path: "/v1/files/:id/content", on: { GET: getFileContent } },
  { path: "/v1/files/:id/report", on: { GET: getFileReport } },
  { path: "/v1/fine_tuning/jobs", on: { GET: listTuningJobs, POST: createTuningJob } },
  { path: "/v1/fine_tuning/jobs/:id", on: { GET: getTuningJob } },
  { path: "/v1/fine_tuning/jobs/:id/cancel", on: { POST: cancelTuningJob } },
  { path: "/v1/fine_tuning/jobs/:id/pause", on: { POST: pauseTuningJob } },
  { path: "/v1/fine_tuning/jobs/:id/resume", on: { POST: resumeTuningJob } },
  { path: "/v1/fine_tuning/jobs/:id/events", on: { GET: listTuningEvents } },
  { path: "/v1/fine_tuning/jobs/:id/checkpoints", on: { GET: listTuningCheckpoints } },
  { path: "/v1/aliases", on: { GET: listAliases, POST: pointAlias } },
  { path: "/v1/aliases/:alias", on: { GET: getAlias, DELETE: deleteAlias } },
  { path: "/v1/aliases/:alias/rollback", on: { POST: rollBackAlias } },
  {
    path: "/v1/aliases/:alias/retune",
    on: { GET: getRetune, POST: askForRetune, DELETE: deleteRetune },
  },
  {
    path: "/v1/feedback",
    on: { GET: countFeedback, POST: giveFeedback, DELETE: deleteFeedback },
  },
  { path: "/v1/feedback/export", on: { POST: exportFeedback } },
  { path: "/v1/prompts", on: { GET: listPrompts, POST: createPrompt } },
  { path: "/v1/prompts/:id", on: { GET: getPrompt, DELETE: deletePrompt } },
  {
    path: "/v1/prompts/:id/versions",
    on: { GET: listPromptVersions, POST: createPromptVersion },
  },
  {
    path: "/v1/prompts/:id/versions/:version",
    on: { GET: getPromptVersion, DELETE: deletePromptVersion },
  },
  { path: "/v1/prompts/:id/evaluate", on: { POST: evaluatePrompt } },
  { path: "/v1/prompts/:id/evaluations", on: { GET: listPromptEvaluations } },
  { path: "/v1/models", on: { GET: listModels } },
  { path: "/v1/models/:id{.+}", on: { GET: getModel, DELETE: deleteModel } },
  { path: "/v1/tasks/:task", on: { POST: runTask } },
  { path: "/v1/jobs/:id", on: { GET: getJob, DELETE: cancelJob } },
  { path: "/v1/jobs/:id/cancel", on: { POST: cancelJob } },
  { path: "/v1/jobs/:id/deliveries", on: { GET: listDeliveries } },
  { path: "/v1/jobs/:id/events", on: { GET: readEvents } },
  { path: "/v1/jobs/:id/output", on: { GET: getJobOutput }, signed: true },
  { path: "/hf/models/:rest{.+}", on: { POST: runPipeline } },
  { path: "/internal/shards/:shard/events", on: { GET: openEvents, POST: receiveEvents } },
  { path: "/internal/training/claim", on: { POST: claimTuningJob } },
  { path: "/internal/training/reports", on: { POST: takeTuningReport } },
  { path: "/internal/workers", on: { POST: announceWorker } },
];

/** Not strict: an address with a slash at its end is the one without. */
export const app = new Hono<EdgeEnv>({ strict: false });

app.use(requestId, requestLog, cors, outcomeHeaders);
addRoutes(routes.filter(({ signed }) => signed === true));
// Weak: its bytes differ by encoding, and what they say does not.
app.use("/openapi.json", etag({ weak: true }));
app.use("/v1/*", refusals, caller);
app.use("/v2/*", refusals, caller);
app.use("/hf/*", refusals, caller);
app.use("/rerank", refusals, caller);
addRoutes(routes.filter(({ signed }) => signed === undefined));
app.notFound(answerUnknownUrl);
app.onError(answerFailure);

function addRoutes(added: readonly Route[]): void {
  for (const { path, on } of added) {
    if (on.GET !== undefined) app.get(path, on.GET);
    if (on.POST !== undefined) app.post(path, on.POST);
    if (on.DELETE !== undefined) app.delete(path, on.DELETE);
    app.all(path, answerOtherMethods(allowedBy(on)));
  }
}

function allowedBy(on: Route["on"]): string[] {
  const methods = Object.keys(on);
  return on.GET === undefined ? methods : [...methods, "HEAD"];
}
