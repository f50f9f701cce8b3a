/** What an engine does with a constraint, without a model: tokens by chance, those forced, the way to an end. */
import type { DecoderModel } from "../../gpu-worker/model/decoder-model.ts";
import type { TokenConstraint } from "../../gpu-worker/model/token-constraint.ts";

export type Walk = {
  readonly tokens: number[];
  readonly text: string;
  readonly forced: number;
  /** Whether it came to its end before its length. */
  readonly ended: boolean;
};

const temperature = 1.5;

/** With logits of the standard normal distribution's. */
function sample(allowed: readonly number[], random: (below: number) => number): number {
  const uniform = () => (random(2 ** 24) + 1) / 2 ** 24;
  let [best, bestToken] = [-Infinity, -1];
  for (const token of allowed) {
    const normal = Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
    // Gumbel's way to draw from a softmax.
    const score = normal / temperature - Math.log(-Math.log(uniform() - 2 ** -26));
    if (score > best) [best, bestToken] = [score, token];
  }
  return bestToken;
}

export function allowedTokens(allowed: Int32Array, size: number): number[] {
  return Array.from({ length: size }, (_, token) => token).filter(
    (token) => (((allowed[token >> 5] ?? 0) >>> (token & 31)) & 1) === 1,
  );
}

export function isAllowed(allowed: Int32Array | null, token: number): boolean {
  return allowed === null || (((allowed[token >> 5] ?? 0) >>> (token & 31)) & 1) === 1;
}

export function bytesOf({ tokenizer }: DecoderModel, tokens: readonly number[]): Buffer {
  return Buffer.concat(
    tokens.map((id) => {
      const token = tokenizer.token(id);
      return token === null || token.special
        ? Buffer.of()
        : Buffer.from(token.bytes ?? Buffer.from(token.text));
    }),
  );
}

/** @param tokensMax of the text, its end included: too few for the shortest text are an Error */
export async function randomWalk(
  model: DecoderModel,
  constraint: TokenConstraint,
  { tokensMax, random }: { tokensMax: number; random: (below: number) => number },
): Promise<Walk> {
  const tokens: number[] = [];
  let forcedCount = 0;
  const text = () => new TextDecoder("utf-8", { fatal: true }).decode(bytesOf(model, tokens));
  const isEnd = (token: number | undefined) => token !== undefined && model.endTokens.has(token);
  for (;;) {
    const { allowed, forced, closing } = await constraint.next();
    if (tokens.length + forced.length + closing.length <= tokensMax && forced.length > 0) {
      constraint.accept(forced);
      tokens.push(...forced);
      forcedCount += forced.length;
      if (isEnd(forced.at(-1))) return { tokens, text: text(), forced: forcedCount, ended: true };
      continue;
    }
    const options = allowedTokens(allowed ?? new Int32Array(), model.tokenizer.vocabularySize);
    const token = sample(options, random);
    if (token === -1) throw new Error(`nothing may follow ${text()}`);
    constraint.accept([token]);
    const rest = isEnd(token) ? [] : (await constraint.next()).closing;
    if (tokens.length + 1 + rest.length > tokensMax) {
      constraint.takeBack(1);
      if (tokens.length + closing.length > tokensMax)
        throw new Error("there is no room for an end");
      constraint.accept(closing);
      tokens.push(...closing);
      await constraint.next();
      return { tokens, text: text(), forced: forcedCount, ended: false };
    }
    tokens.push(token);
    if (isEnd(token)) return { tokens, text: text(), forced: forcedCount, ended: true };
  }
}
