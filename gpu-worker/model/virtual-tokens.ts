/**
 * Ids of virtual tokens, the places of a prompt that a learnt vector fills in place of a word's (Lester et al., prompt
 * tuning, https://arxiv.org/abs/2104.08691). They stand in prompts as words do, so that slots, steps and what is kept
 * of prompts need know nothing of them. No vocabulary comes near them, and no id is given twice.
 */
export const virtualTokensFrom = 2 ** 32;

/** Of an encoder, whose ids are fed as 32 bits: places in a table of vectors, given again once they are free. */
export const encoderVirtualFrom = 2 ** 30;

/** Of a soft prompt that is served. */
export const virtualTokensMax = 1_000;

export function isVirtual(token: number): boolean {
  return token >= virtualTokensFrom;
}
