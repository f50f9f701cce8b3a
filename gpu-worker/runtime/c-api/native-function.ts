/**
 * One row of a C function table as a typed JavaScript function: what each argument is in C decides what it is here.
 * Knows koffi and `OrtStatus*`, but no function of ONNX Runtime by name.
 */
import process from "node:process";
import koffi from "koffi";

/** An address. koffi gives bigints, and null for NULL. */
export type Pointer = bigint;

/** C argument → what is passed for it. */
type Arguments = {
  /** `void*` of any kind. A typed array passes its memory: whoever passes it keeps it reachable while C may use it. */
  pointer: Pointer | ArrayBufferView | null;
  /** `const char*`, copied. */
  text: string;
  /** `const char* const*`, copied. */
  texts: string[];
  /** `const ORTCHAR_T*`, copied: UTF-16 on Windows, UTF-8 elsewhere. */
  path: string;
  int: number;
  size: number;
  /** `T**`: the address is put into the array. */
  pointerOut: [Pointer | null];
  /** `int*` or an enum's. */
  intOut: [number];
  sizeOut: [number];
  boolean: boolean;
};

export type Kind = keyof Arguments;
type ArgumentsOf<K extends readonly Kind[]> = { [I in keyof K]: Arguments[K[I]] };

const cTypes = {
  pointer: "void *",
  text: "str",
  texts: "const char **",
  path: process.platform === "win32" ? "str16" : "str",
  int: "int",
  size: "size_t",
  pointerOut: koffi.out(koffi.pointer("void *")),
  intOut: koffi.out(koffi.pointer("int")),
  sizeOut: koffi.out(koffi.pointer("size_t")),
  boolean: "bool",
};

/** Throws for a status that says what failed, and frees it; null is success. */
export type StatusCheck = (status: Pointer | null) => void;

/** What koffi makes of a function pointer. */
type Native<K extends readonly Kind[], Result> = ((...args: ArgumentsOf<K>) => Result) & {
  async: (...args: [...ArgumentsOf<K>, (error: unknown, result: Result) => void]) => void;
};

function nativeFunction<K extends readonly Kind[], Result>(
  address: Pointer,
  result: string,
  kinds: K,
): Native<K, Result> {
  const types = kinds.map((kind) => cTypes[kind]);
  return koffi.decode(address, koffi.proto(result, types));
}

/** A function that gives nothing back. */
export function voidFunction<const K extends readonly Kind[]>(
  address: Pointer,
  ...kinds: K
): (...args: ArgumentsOf<K>) => void {
  return nativeFunction<K, void>(address, "void", kinds);
}

/** A function that gives back text which its library owns. */
export function textFunction<const K extends readonly Kind[]>(
  address: Pointer,
  ...kinds: K
): (...args: ArgumentsOf<K>) => string {
  return nativeFunction<K, string>(address, "str", kinds);
}

/** A function that gives back an address. */
export function pointerFunction<const K extends readonly Kind[]>(
  address: Pointer,
  ...kinds: K
): (...args: ArgumentsOf<K>) => Pointer | null {
  return nativeFunction<K, Pointer | null>(address, "void *", kinds);
}

/** A function that gives back a status, called on this thread. */
export function statusFunction<const K extends readonly Kind[]>(
  address: Pointer,
  check: StatusCheck,
  kinds: K,
): (...args: ArgumentsOf<K>) => void {
  const call = nativeFunction<K, Pointer | null>(address, "void *", kinds);
  return (...args) => check(call(...args));
}

/** Arguments of calls under way: koffi frees what nobody holds, even in the middle of a call. */
const underWay = new Set<readonly unknown[]>();

/** A function that gives back a status (or nothing), called on a thread of libuv's pool. */
export function asyncFunction<const K extends readonly Kind[]>(
  address: Pointer,
  check: StatusCheck | null,
  kinds: K,
): (...args: ArgumentsOf<K>) => Promise<void> {
  const result = check === null ? "void" : "void *";
  const call = nativeFunction<K, Pointer | null>(address, result, kinds);
  return onPool(call, check ?? (() => undefined));
}

/** A function that gives back a number, such as an error's, called on a thread of libuv's pool. */
export function asyncNumberFunction<const K extends readonly Kind[]>(
  address: Pointer,
  check: (code: number) => void,
  kinds: K,
): (...args: ArgumentsOf<K>) => Promise<void> {
  return onPool(nativeFunction<K, number>(address, "int", kinds), check);
}

/** koffi refuses more than 256 calls at a time; libuv's pool runs far fewer. */
const callsMax = 128;
let calls = 0;
/** Calls that wait until one that runs has ended, in order. */
const waiting: (() => void)[] = [];

function startCall(start: () => void): void {
  if (calls === callsMax) {
    waiting.push(start);
    return;
  }
  calls += 1;
  start();
}

function endCall(): void {
  const next = waiting.shift();
  if (next === undefined) calls -= 1;
  else next();
}

function onPool<K extends readonly Kind[], Result>(
  call: Native<K, Result>,
  check: (result: Result) => void,
): (...args: ArgumentsOf<K>) => Promise<void> {
  return (...args) =>
    new Promise((resolve, reject) => {
      const start = () => {
        underWay.add(args);
        call.async(...args, (error, result) => {
          underWay.delete(args);
          endCall();
          try {
            if (error !== null) throw error;
            check(result);
            resolve();
          } catch (thrown) {
            reject(thrown);
          }
        });
      };
      startCall(start);
    });
}
