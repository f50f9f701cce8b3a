/**
 * The functions of ONNX Runtime's C API that this room calls, by their place in `OrtApi`, a table that is only ever
 * appended to (onnxruntime_c_api.h). Opens the library; holds no session and no environment.
 */
import koffi from "koffi";
import { RuntimeError } from "../session.ts";
import { configureStacks } from "./koffi-stacks.ts";
import {
  asyncFunction,
  pointerFunction,
  statusFunction,
  textFunction,
  voidFunction,
} from "./native-function.ts";
import type { Kind, Pointer, StatusCheck } from "./native-function.ts";
import { pinLibrary } from "./pin-library.ts";

export type OrtApi = ReturnType<typeof bindFunctions> & {
  /** Such as `1.30.0`. */
  readonly version: string;
};

/** The version of the table asked for: the newest that has every function below. */
const tableVersion = 22;
/** Functions of that table up to the last one used here. */
const tableLength = 294;
/** @throws RuntimeError or koffi's own error where the library cannot be opened or is too old */
export function openOrtApi(libraryFile: string): OrtApi {
  configureStacks();
  const library = koffi.load(libraryFile);
  pinLibrary(libraryFile);
  const getBase = library.func("OrtGetApiBase", "void *", []);
  const [getApi, getVersion] = addressesAt(getBase(), 2);
  const version = textFunction(addressOf(getVersion, "GetVersionString"))();
  const api = pointerFunction(addressOf(getApi, "GetApi"), "int")(tableVersion);
  if (api === null) {
    throw new RuntimeError(
      `ONNX Runtime ${version} in ${libraryFile} has no C API of version ${tableVersion}`,
    );
  }
  return { ...bindFunctions(addressesAt(api, tableLength)), version };
}

function addressesAt(table: Pointer, count: number): readonly (Pointer | null)[] {
  return koffi.decode(table, koffi.array("void *", count));
}

function addressOf(address: Pointer | null | undefined, name: string): Pointer {
  if (address === null || address === undefined) {
    throw new RuntimeError(`ONNX Runtime's library has no ${name}`);
  }
  return address;
}

/** Some messages begin with the C++ file, line and function that threw. */
function withoutOrigin(message: string): string {
  return (
    message.replace(/^\S+\.(?:cc|h):\d+ .*?(?:\[ONNXRuntimeError\] : \d+ : \w+ : |$)/s, "") ||
    message
  );
}

/** Frees a status and throws what it says. */
function statusCheck(at: (slot: number) => Pointer): StatusCheck {
  const messageOf = textFunction(at(2), "pointer");
  const releaseStatus = voidFunction(at(93), "pointer");
  return (status) => {
    if (status === null) return;
    const message = messageOf(status);
    releaseStatus(status);
    throw new RuntimeError(withoutOrigin(message));
  };
}

/** Session, run options, names and values of inputs and how many, names of outputs and how many, their values. */
const runKinds = [
  "pointer",
  "pointer",
  "pointer",
  "pointer",
  "size",
  "pointer",
  "size",
  "pointer",
] as const;

/** Memory info, data and its bytes, shape and its length, element type, where the value is put. */
const tensorKinds = ["pointer", "pointer", "size", "pointer", "size", "int", "pointerOut"] as const;

function bindFunctions(table: readonly (Pointer | null)[]) {
  const at = (slot: number): Pointer => addressOf(table[slot], `function ${slot}`);
  const check = statusCheck(at);
  const status = <const K extends readonly Kind[]>(slot: number, ...kinds: K) =>
    statusFunction(at(slot), check, kinds);
  const async = <const K extends readonly Kind[]>(slot: number, ...kinds: K) =>
    asyncFunction(at(slot), check, kinds);
  const release = (slot: number) => voidFunction(at(slot), "pointer");
  return {
    createEnvWithGlobalThreadPools: status(119, "int", "text", "pointer", "pointerOut"),
    createThreadingOptions: status(121, "pointerOut"),
    setGlobalIntraOpNumThreads: status(147, "pointer", "int"),
    setGlobalInterOpNumThreads: status(148, "pointer", "int"),
    setGlobalSpinControl: status(149, "pointer", "int"),
    releaseThreadingOptions: release(122),
    createAndRegisterAllocator: status(144, "pointer", "pointer", "pointer"),

    createSession: async(7, "pointer", "path", "pointer", "pointerOut"),
    createSessionFromArray: async(8, "pointer", "pointer", "size", "pointer", "pointerOut"),
    run: async(9, ...runKinds),
    /** On the calling thread. */
    runHere: status(9, ...runKinds),
    releaseSession: asyncFunction(at(95), null, ["pointer"]),

    createSessionOptions: status(10, "pointerOut"),
    disableMemPattern: status(17, "pointer"),
    setGraphOptimizationLevel: status(23, "pointer", "int"),
    setIntraOpNumThreads: status(24, "pointer", "int"),
    disablePerSessionThreads: status(120, "pointer"),
    addSessionConfigEntry: status(130, "pointer", "text", "text"),
    setLoadCancellationFlag: status(293, "pointer", "boolean"),
    releaseSessionOptions: release(100),

    createRunOptions: status(39, "pointerOut"),
    addRunConfigEntry: status(165, "pointer", "text", "text"),
    setTerminate: status(46, "pointer"),
    releaseRunOptions: release(97),

    sessionGetInputCount: status(30, "pointer", "sizeOut"),
    sessionGetOutputCount: status(31, "pointer", "sizeOut"),
    sessionGetInputTypeInfo: status(33, "pointer", "size", "pointerOut"),
    sessionGetOutputTypeInfo: status(34, "pointer", "size", "pointerOut"),
    sessionGetInputName: status(36, "pointer", "size", "pointer", "pointerOut"),
    sessionGetOutputName: status(37, "pointer", "size", "pointer", "pointerOut"),

    createTensorWithData: status(49, ...tensorKinds),
    getTensorMutableData: status(51, "pointer", "pointerOut"),
    castTypeInfoToTensorInfo: status(55, "pointer", "pointerOut"),
    getTensorElementType: status(60, "pointer", "intOut"),
    getDimensionsCount: status(61, "pointer", "sizeOut"),
    getDimensions: status(62, "pointer", "pointer", "size"),
    getSymbolicDimensions: status(63, "pointer", "pointer", "size"),
    getTensorTypeAndShape: status(65, "pointer", "pointerOut"),
    releaseValue: release(96),
    releaseTypeInfo: release(98),
    releaseTensorTypeAndShapeInfo: release(99),

    createCpuMemoryInfo: status(69, "int", "int", "pointerOut"),
    createMemoryInfo: status(68, "text", "int", "int", "int", "pointerOut"),
    releaseMemoryInfo: release(94),
    getDefaultAllocator: status(78, "pointerOut"),
    createAllocator: status(131, "pointer", "pointer", "pointerOut"),
    releaseAllocator: release(132),
    allocatorAlloc: status(75, "pointer", "size", "pointerOut"),
    allocatorFree: status(76, "pointer", "pointer"),
    allocatorFreeAsync: async(76, "pointer", "pointer"),

    appendCudaProvider: status(204, "pointer", "pointer"),
    createCudaProviderOptions: status(205, "pointerOut"),
    updateCudaProviderOptions: status(206, "pointer", "texts", "texts", "size"),
    releaseCudaProviderOptions: release(208),
  };
}
