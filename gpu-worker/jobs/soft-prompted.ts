/**
 * A request whose prompt the engine reads behind a soft prompt. Its virtual tokens are no tokens of the caller's: what
 * is told of the prompt is of its own. Nothing more is charged: tokens that are run count up to the prompt's length.
 */
import type { GenerationEnd, GenerationHandlers, GenerationRequest } from "../model/generation.ts";

type Prompted<Handlers> = {
  readonly request: GenerationRequest;
  readonly handlers: Handlers;
  /** As it is of the caller's own prompt. */
  endOf(end: GenerationEnd): GenerationEnd;
};

/** @param virtual none: all stays as it is */
export function softPrompted<Handlers extends GenerationHandlers>(
  request: GenerationRequest,
  handlers: Handlers,
  virtual: readonly number[],
): Prompted<Handlers> {
  const count = virtual.length;
  if (count === 0) return { request, handlers, endOf: (end) => end };
  return {
    request: { ...request, prompt: [...virtual, ...request.prompt] },
    handlers: {
      ...handlers,
      // The first token of a prompt has no log probability, whatever was read before it.
      onPrompt: (tokens) => handlers.onPrompt?.([null, ...tokens.slice(count + 1)]),
    },
    endOf: ({ cachedTokens }) => ({ cachedTokens: Math.max(0, cachedTokens - count) }),
  };
}
