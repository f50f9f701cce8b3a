/**
 * The file of cl100k_base's ranks as OpenAI publishes it and tiktoken reads it: a token in base64 and its id on each
 * line.
 */
import ranks from "js-tiktoken/ranks/cl100k_base";

export function tiktokenFile(): string {
  return ranks.bpe_ranks
    .split("\n")
    .flatMap((line) => {
      const [, first, ...tokens] = line.split(" ");
      return tokens.map((token, index) => `${token} ${Number(first) + index}\n`);
    })
    .join("");
}
