/**
 * The far side of grammar-thread.ts: compiles grammars and follows texts, one request after the other. What goes wrong
 * inside XGrammar ends the thread, because it cannot be used afterwards.
 */
import { readlinkSync } from "node:fs";
import path from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import { Automaton } from "./automaton.ts";
import { type Expression, type Grammar, StructureError } from "./expression.ts";
import { type Compiled, Matcher } from "./matcher.ts";
import { printGrammar, rootName } from "./print-grammar.ts";
import { readStructure } from "./read-structure.ts";
import { ShortestWays } from "./shortest-ways.ts";
import type { StartedThread } from "./start-thread.ts";
import type { ThreadAnswer, ThreadRequest, ThreadWords } from "./thread-protocol.ts";
import { TokenTable } from "./token-table.ts";
import type { Vocabulary } from "./vocabulary.ts";
import { tokensToTell } from "./tokens-to-tell.ts";
import {
  boundMemory,
  type CompiledGrammar,
  type GrammarCompiler,
  loadXGrammar,
} from "./xgrammar.ts";

const limits: StartedThread = workerData;
const xgrammar = loadXGrammar();
const heapBytes = boundMemory(limits.bytesMax);

/** Of all places of a grammar together: XGrammar takes about 0.6 s for as many. */
const toldMax = 2_000_000;

type Tokens = { readonly table: TokenTable; readonly compiler: GrammarCompiler };
type Kept = { readonly compiled: Compiled; texts: number };
type Text = { readonly matcher: Matcher; readonly kept: Kept };

const vocabularies = new Map<number, Tokens>();
/** The one used last comes last. */
const grammars = new Map<string, Kept>();
const texts = new Map<number, Text>();

/** Bytes by the characters that byte-level BPE writes them as (`bytes_to_unicode` of GPT-2). */
const characterOf = Array.from({ length: 256 }, (_, byte) => byte);
let unprintable = 256;
for (const byte of characterOf.keys()) {
  const printable =
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  if (!printable) characterOf[byte] = unprintable++;
}

async function takeVocabulary(vocabulary: Vocabulary): Promise<void> {
  const table = new TokenTable(vocabulary);
  const names = Array.from({ length: table.size }, (_, token) =>
    String.fromCharCode(...Array.from(table.bytes(token), (byte) => characterOf[byte] ?? 0)),
  );
  const { endTokens } = vocabulary;
  const info = await xgrammar.TokenizerInfo.createTokenizerInfo(
    names,
    "byte_level",
    false,
    names.length,
    [...endTokens],
  );
  const compiler = await xgrammar.GrammarCompiler.createGrammarCompiler(info, false);
  vocabularies.set(vocabulary.id, { table, compiler });
}

async function compile(request: Extract<ThreadRequest, { kind: "open" }>): Promise<Kept> {
  const key = `${request.vocabulary} ${request.key}`;
  const known = grammars.get(key);
  if (known !== undefined) {
    grammars.delete(key);
    grammars.set(key, known);
    return known;
  }
  const tokens = vocabularies.get(request.vocabulary);
  if (tokens === undefined) throw new Error("a grammar came before its vocabulary");
  const { table, compiler } = tokens;
  const grammar = readStructure(request.structure);
  const { tokens: tokensTold, place } = tokensToTell(grammar, table);
  if (place !== null) say({ kind: "compiles", path: place });
  const automaton = new Automaton(grammar);
  const ways = new ShortestWays(automaton, (codePoint) => table.canSpell(codePoint));
  if (ways.lengthOfRule(automaton.root) === Infinity) {
    throw new StructureError("no text that ends can be so, or none that this model has tokens for");
  }
  const compiled = tokensTold > toldMax ? null : await told(grammar, compiler);
  const counts = [...grammar.rules.values()].some(hasCount);
  const kept = { compiled: { grammar: compiled, automaton, ways, table, counts }, texts: 0 };
  makeRoom();
  grammars.set(key, kept);
  return kept;
}

async function told(grammar: Grammar, compiler: GrammarCompiler): Promise<CompiledGrammar> {
  const printed = await xgrammar.Grammar.fromEBNF(printGrammar(grammar), rootName);
  const compiled = await compiler.compileGrammar(printed);
  printed.dispose();
  return compiled;
}

function hasCount(expression: Expression): boolean {
  switch (expression.kind) {
    case "counted":
      return true;
    case "sequence":
      return expression.parts.some(hasCount);
    case "choice":
      return expression.options.some(hasCount);
    case "repeat":
      return hasCount(expression.part);
    default:
      return false;
  }
}

function makeRoom(): void {
  for (const [key, { compiled, texts: following }] of grammars) {
    if (grammars.size < limits.grammarsMax) return;
    if (following > 0) continue;
    grammars.delete(key);
    compiled.grammar?.dispose();
  }
}

async function open(request: Extract<ThreadRequest, { kind: "open" }>): Promise<Matcher> {
  const kept = await compile(request);
  const { grammar } = kept.compiled;
  const matcher = new Matcher(
    kept.compiled,
    grammar === null ? null : await xgrammar.GrammarMatcher.createGrammarMatcher(grammar),
  );
  kept.texts += 1;
  texts.set(request.text, { matcher, kept });
  for (const token of request.tokens) matcher.accept(token);
  return matcher;
}

function close(id: number): void {
  const text = texts.get(id);
  if (text === undefined) return;
  texts.delete(id);
  text.kept.texts -= 1;
  text.matcher.dispose();
}

async function answer(request: ThreadRequest): Promise<ThreadWords> {
  switch (request.kind) {
    case "vocabulary":
      await takeVocabulary(request.vocabulary);
      return { kind: "done" };
    case "close":
      close(request.text);
      return { kind: "done" };
    case "open":
      return nextOf(await open(request));
    case "go": {
      const text = texts.get(request.text);
      if (text === undefined) throw new StructureError("it was not begun");
      text.matcher.takeBack(request.takeBack);
      for (const token of request.tokens) text.matcher.accept(token);
      return nextOf(text.matcher);
    }
  }
}

async function nextOf(matcher: Matcher): Promise<ThreadWords> {
  return { kind: "next", next: await matcher.next(), heapBytes: heapBytes() };
}

async function reply(request: ThreadRequest): Promise<ThreadWords> {
  try {
    return await answer(request);
  } catch (error) {
    if (!(error instanceof StructureError)) throw error;
    return { kind: "refused", message: error.message, path: error.path };
  }
}

function say(words: ThreadWords, transfer: readonly ArrayBuffer[] = []): void {
  const { user, system } = process.threadCpuUsage();
  parentPort?.postMessage(
    { ...words, cpuMs: (user + system) / 1_000 } satisfies ThreadAnswer,
    transfer,
  );
}

let last = Promise.resolve();
parentPort?.on("message", (request: ThreadRequest) => {
  last = last.then(async () => {
    const said = await reply(request);
    const transfer = said.kind === "next" ? [said.next.allowed.buffer] : [];
    say(said, transfer as ArrayBuffer[]);
  });
});
if (limits.apart && process.platform === "linux") {
  const number = Number(path.basename(readlinkSync("/proc/thread-self")));
  parentPort?.postMessage({ kind: "runs", number }, []);
}
say({ kind: "done" });
