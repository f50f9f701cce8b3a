/** Whether a model can be the base of a training, as far as the list of models tells. */
import type { Task } from "#contract/tasks.ts";
import type { TrainingTask } from "#contract/training/forms.ts";

const ofDecoders: readonly Task[] = ["chat-completion", "text-generation"];
const needDecoder: readonly TrainingTask[] = ["chat", "completion"];
/** Of both kinds. */
const needEither: readonly TrainingTask[] = ["pretraining"];

/** @param does tasks of the base @returns why it is none for this task; null: it is one */
export function baseProblem(
  model: string,
  does: readonly Task[],
  task: TrainingTask,
): string | null {
  if (needEither.includes(task)) return null;
  const writes = does.some((each) => ofDecoders.includes(each));
  const shouldWrite = needDecoder.includes(task);
  if (writes === shouldWrite) return null;
  return writes
    ? `${model} is a model that writes, and ${task} is learnt by an encoder. Name an encoder, as all-MiniLM-L6-v2.`
    : `${model} is an encoder, and ${task} is learnt by a model that writes. Name one that does chat-completion.`;
}
