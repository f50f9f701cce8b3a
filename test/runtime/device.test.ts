/**
 * What surrounds a GPU, on a machine without one: the device's test with two CPUs, of which one may compute wrongly,
 * its faults as a run would throw them, and what is said where the provider or the driver is missing.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { deviceProbe } from "../../gpu-worker/graphs/device-probe.ts";
import { cudaOptions } from "../../gpu-worker/runtime/c-api/session-options.ts";
import { isCudaFault, isDeviceFault, watchDevice } from "../../gpu-worker/runtime/device-faults.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import { compareWithCpu, deviceTolerance } from "../../gpu-worker/runtime/self-test.ts";
import { RuntimeError } from "../../gpu-worker/runtime/session.ts";
import type { LoadedSession, Runtime, Session } from "../../gpu-worker/runtime/session.ts";
import { float32 } from "../../gpu-worker/tensor/tensor.ts";
import { successor } from "./models.ts";

const silent = { info: () => undefined, warn: () => undefined };
const folder = mkdtempSync(path.join(tmpdir(), "llm-os-device-"));
afterAll(() => rmSync(folder, { recursive: true }));

let runtime: Runtime;
beforeAll(async () => {
  runtime = await openRuntime({ log: silent });
});

const probe = await deviceProbe();
const cpu = (bytes: Uint8Array) => runtime.load({ bytes }, { threads: 1, provider: "cpu" });

/** The CPU, with every output changed. */
function changed(change: (value: number, at: number) => number) {
  return async (bytes: Uint8Array): Promise<Session> => {
    const session = await cpu(bytes);
    const run: Session["run"] = async (feeds, options) => {
      const entries = Object.entries(await session.run(feeds, options));
      return Object.fromEntries(
        entries.map(([name, { shape, data }]) => [
          name,
          float32(shape, Array.from<number | bigint, number>(data, Number).map(change)),
        ]),
      );
    };
    return { ...session, run };
  };
}

/** The CPU, with every other number larger by `share`, the rest smaller. */
const off = (share: number) => changed((value, at) => value * (1 + (at % 2 ? share : -share)));

describe("the test of a device", () => {
  it("passes what computes as the CPU does, in f32 and in f16", async () => {
    await compareWithCpu({ device: cpu, cpu }, probe);
  });

  it("passes an error as TF32 makes it, and none twice its tolerance", async () => {
    const tolerable = { device: off(0.4 * deviceTolerance.f32), cpu };
    await compareWithCpu(tolerable, probe);
    const beyond = { device: off(2 * deviceTolerance.f32), cpu };
    await expect(compareWithCpu(beyond, probe)).rejects.toThrow(/in f32 is off by 0\.01/);
  });

  it.each([
    ["zeros", () => 0],
    ["no numbers", () => NaN],
    ["the right numbers in the wrong places", (value: number, at: number) => (at < 8 ? 1 : value)],
  ])("fails a device that gives %s", async (_, change) => {
    await expect(compareWithCpu({ device: changed(change), cpu }, probe)).rejects.toThrow(
      /of an encoder in f32 is off by .* allowed is 0\.005/,
    );
  });

  it("fails a device that is wrong in half precision alone", async () => {
    const wrong = changed((value, at) => (at % 3 === 0 ? -value : value));
    const device = (bytes: Uint8Array) => (bytes === probe.f16 ? wrong(bytes) : cpu(bytes));
    await expect(compareWithCpu({ device, cpu }, probe)).rejects.toThrow(/in f16 is off/);
  });

  it("does not let the CPU stand in: without fallback, what it would compute is refused", async () => {
    const options = { threads: 1, provider: "cpu", cpuFallback: false } as const;
    await expect(runtime.load({ bytes: probe.f32 }, options)).rejects.toThrow(/CPU EP/);
  });
});

describe("the options of a session on a GPU", () => {
  it("bound its memory, and let it grow by what is asked for", () => {
    const options = { threads: 1, provider: "cuda", deviceMemoryBytes: 1e9 } as const;
    expect(cudaOptions(options)).toMatchObject({
      gpu_mem_limit: "1000000000",
      arena_extend_strategy: "kSameAsRequested",
    });
    expect(cudaOptions({ threads: 1, provider: "cuda" })).not.toHaveProperty("gpu_mem_limit");
    expect(cudaOptions({ ...options, captures: true })).toMatchObject({ enable_cuda_graph: "1" });
    expect(cudaOptions(options)).not.toHaveProperty("enable_cuda_graph");
  });
});

/** As ONNX Runtime words them. */
const illegalAccess =
  "CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; hostname=w ; expr=cudaStreamSynchronize(s);";
const faults = [
  illegalAccess,
  "Non-zero status code returned while running Gemm node. Name:'g' " +
    "Status Message: CUBLAS failure 13: CUBLAS_STATUS_EXECUTION_FAILED ; GPU=0",
  "CUDNN failure 5000: CUDNN_STATUS_EXECUTION_FAILED ; GPU=0",
];
const noFaults = [
  "Got invalid dimensions for input: input_ids for the following indices",
  "Non-zero status code returned while running Gather node. indices element out of data bounds",
  "Available memory of 1024 is smaller than requested bytes of 4096",
  "Failed to allocate memory for requested buffer of size 4294967296",
  "CUDA failure 2: out of memory ; GPU=0 ; hostname=w",
  "input x is missing",
];

describe("what is a fault of the device", () => {
  it.each(faults)("%s", (words) => expect(isCudaFault(new RuntimeError(words))).toBe(true));
  it.each(noFaults)("not: %s", (words) => expect(isCudaFault(new RuntimeError(words))).toBe(false));
});

type Next = { error: string } | "right";

/** A device whose runs end as told, one after the other. @param sane whether it passes its test after a fault */
async function deviceWith(outcomes: Next[], sane = true) {
  const broken: string[] = [];
  const tests: number[] = [];
  const acting: Runtime = {
    ...runtime,
    load: async (model) => {
      const session = await runtime.load(model, { threads: 1, provider: "cpu" });
      const run: Session["run"] = (feeds, options) => {
        const next = outcomes.shift() ?? "right";
        if (next !== "right") return Promise.reject(new RuntimeError(next.error));
        return session.run(feeds, options);
      };
      const bind: LoadedSession["bind"] = (binding) => {
        const bound = session.bind(binding);
        return { ...bound, run: (feeds) => run(feeds) };
      };
      return { ...session, run, bind };
    },
  };
  const watched = watchDevice(acting, {
    isFault: isCudaFault,
    retest: async () => {
      tests.push(1);
      if (!sane) throw new RuntimeError("wrong numbers");
    },
    onBroken: (reason) => void broken.push(reason),
    log: silent,
  });
  const load = (provider: "cuda" | "cpu") =>
    watched.load({ bytes: successor() }, { threads: 1, provider });
  return { broken, tests, load };
}

const x = float32([], [1]);
const endOf = (session: Pick<Session, "run">) =>
  session.run({ x }).then(
    () => "right",
    (error: unknown) => (isDeviceFault(error) ? "fault" : "error"),
  );

async function ends(session: Pick<Session, "run">, count: number): Promise<string[]> {
  const all: string[] = [];
  for (let run = 0; run < count; run += 1) all.push(await endOf(session));
  return all;
}

describe("a device that fails", () => {
  const fault: Next = { error: illegalAccess };
  const badInput: Next = { error: noFaults[0] ?? "" };

  it("is broken after three faults in a row, said once, and its errors are told apart", async () => {
    const { broken, tests, load } = await deviceWith([fault, fault, fault, fault]);
    expect(await ends(await load("cuda"), 2)).toEqual(["fault", "fault"]);
    expect(broken).toEqual([]);
    expect(await ends(await load("cuda"), 2)).toEqual(["fault", "fault"]);
    expect(broken).toEqual([`3 faults in a row: ${illegalAccess}`]);
    expect(tests).toHaveLength(1);
  });

  it("is broken by the faults of bound sessions too", async () => {
    const { broken, load } = await deviceWith(["right", fault, fault, fault]);
    const session = await load("cuda");
    const bound = session.bind({ outputs: { y: "host" } });
    expect(await ends(bound, 4)).toEqual(["right", "fault", "fault", "fault"]);
    expect(broken).toHaveLength(1);
  });

  it("is not broken by faults with good runs between them", async () => {
    const { broken, tests, load } = await deviceWith([
      fault,
      fault,
      "right",
      fault,
      fault,
      "right",
    ]);
    await ends(await load("cuda"), 6);
    expect(broken).toEqual([]);
    expect(tests).toHaveLength(2);
  });

  it("is not broken by bad inputs, however many", async () => {
    const { broken, tests, load } = await deviceWith(Array.from({ length: 20 }, () => badInput));
    expect(new Set(await ends(await load("cuda"), 20))).toEqual(new Set(["error"]));
    expect([broken, tests]).toEqual([[], []]);
  });

  it("is broken by its first fault where it then fails its test", async () => {
    const { broken, load } = await deviceWith([fault], false);
    await ends(await load("cuda"), 1);
    expect(broken).toEqual([`it fails its test after a fault: ${illegalAccess}`]);
  });

  it("does not concern sessions on the CPU", async () => {
    const { broken, load } = await deviceWith([fault, fault, fault]);
    expect(await ends(await load("cpu"), 3)).toEqual(["error", "error", "error"]);
    expect(broken).toEqual([]);
  });

  it("is recognised behind what was made of its error", () => {
    const cause = new Error("the model cannot be served", { cause: new Error("no fault") });
    expect(isDeviceFault(cause)).toBe(false);
    expect(isDeviceFault(undefined)).toBe(false);
  });
});

/** Filled by `LLM_OS_CUDA=DIR npm run worker -- install-cuda`. */
const installed = process.env["LLM_OS_CUDA"] ?? "";
const here = installed !== "" && existsSync(installed);
if (!here) console.info("Skipped: the real provider, since LLM_OS_CUDA names no folder");

const listen = () => {
  const said: string[] = [];
  const keep = (level: string) => (_: object, message: string) =>
    void said.push(`${level} ${message}`);
  return { said, log: { info: keep("info"), warn: keep("warn") } };
};

describe("CUDA that cannot be used", () => {
  const absent = path.join(folder, "absent");

  it("is refused where it is required, with what to run", async () => {
    const device = { required: true, folder: absent, probe: deviceProbe };
    await expect(openRuntime({ log: silent, device })).rejects.toMatchObject({
      name: "DeviceError",
      message: expect.stringMatching(
        /not installed in .*absent: run `npm run worker -- install-cuda`/,
      ),
    });
  });

  it("leaves the CPU to compute where it is not, said once: a warning where somebody expects a GPU", async () => {
    const { said, log } = listen();
    const open = (where: string) =>
      openRuntime({ log, device: { required: false, folder: where, probe: deviceProbe } });
    const opened = await open(absent);
    expect(opened.providers).toEqual(["cpu"]);
    expect(opened.deviceMemoryBytes).toBeNull();
    await open(folder);
    const cuda = said.filter((line) => line.includes("CUDA cannot be used, so the CPU computes"));
    expect(cuda.map((line) => line.split(" ")[0]).at(-1)).toBe("warn");
    expect(cuda).toHaveLength(2);
  });

  const noDriver = here && !existsSync("/proc/driver/nvidia/version");
  it.skipIf(!noDriver)(
    "names the driver where the provider is whole and the driver missing",
    async () => {
      const device = { required: true, folder: installed, probe: deviceProbe };
      await expect(openRuntime({ log: silent, device })).rejects.toThrow(
        /no NVIDIA driver here \(libcuda\.so\.1 is not found\): CUDA 13 needs an NVIDIA driver 580/,
      );
    },
  );
});
