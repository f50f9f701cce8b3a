/**
 * Sentence vectors beside a graph that gives only the tokens' hidden states: `pooled` and `sentence_embedding` by a
 * second, small graph (sentence-head.ts), on `last_hidden_state` and the attention mask.
 */
import type { SentenceHead } from "../architectures/encoder-head.ts";
import { buildSentenceHead } from "../architectures/sentence-head.ts";
import { encodeModel } from "../onnx/encode-model.ts";
import type { Provider, Runtime, Session } from "../runtime/session.ts";

export type HeadHardware = { runtime: Runtime; provider: Provider };

const states = "last_hidden_state";

/** @param session with an input attention_mask and the output last_hidden_state; released with the result */
export async function pooledSession(
  session: Session,
  { hidden, head }: { hidden: number; head: SentenceHead },
  { runtime, provider }: HeadHardware,
): Promise<Session> {
  const bytes = await encodeModel(buildSentenceHead(hidden, head));
  const { concurrency } = session;
  const pooling = await runtime.load({ bytes }, { threads: 1, concurrency, provider });
  const own = pooling.outputs.filter(({ name }) => name !== states);
  return {
    provider: session.provider,
    concurrency,
    inputs: [...session.inputs, ...pooling.inputs.filter(({ name }) => name === "pooling_mask")],
    outputs: [...own, ...session.outputs],
    async run({ pooling_mask: chosen, ...feeds }, options = {}) {
      const given = await session.run(feeds, { ...options, outputs: [states] });
      const wanted = options.outputs ?? [...own.map(({ name }) => name), states];
      const outputs = wanted.filter((name) => name !== states);
      const read = { ...given, attention_mask: feeds["attention_mask"], pooling_mask: chosen };
      const made =
        outputs.length === 0 ? {} : await pooling.run(present(read), { ...options, outputs });
      return wanted.includes(states) ? { ...made, ...given } : made;
    },
    async release() {
      await Promise.all([session.release(), pooling.release()]);
    },
  };
}

function present<T>(named: Readonly<Record<string, T | undefined>>): Record<string, T> {
  const there = Object.entries(named).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  );
  return Object.fromEntries(there);
}
