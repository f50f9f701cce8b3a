import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type Calibration,
  deviceFormChoice,
  fasterForm,
  type FormSetting,
  openFormChoice,
} from "../../gpu-worker/compute-form/form-choice.ts";

const never = new AbortController().signal;
const log = { info: () => undefined, warn: () => undefined };
/** Measured: Zen 4 with VNNI, Zen 3 without. */
const withVnni: Calibration = { f32: 190, int8: 600, saturates: false };
const withoutVnni: Calibration = { f32: 133, int8: 105, saturates: true };

let stateFolder: string;
let measured: number;

beforeEach(async () => {
  stateFolder = await mkdtemp(path.join(tmpdir(), "llm-os-form-"));
  measured = 0;
});

afterEach(() => rm(stateFolder, { recursive: true, force: true }));

function choice(setting: FormSetting, result: Calibration | Error, machine = "this machine") {
  const measure = async () => {
    measured += 1;
    if (result instanceof Error) throw result;
    return result;
  };
  return openFormChoice({ setting, stateFolder, machine, measure, log });
}

describe("the form of computation", () => {
  it("is int8 where its products are much faster, f32 where they are not", () => {
    expect(fasterForm(withVnni)).toBe("int8");
    expect(fasterForm(withoutVnni)).toBe("f32");
    expect(fasterForm({ f32: 100, int8: 110 })).toBe("f32");
  });

  it("is measured once for all that ask at the same time, and for the next start", async () => {
    const first = choice("auto", withVnni);
    const int8 = { form: "int8", saturates: false };
    const forms = await Promise.all([first.choose(never), first.choose(never)]);
    expect(forms).toEqual([int8, int8]);
    expect(await choice("auto", withoutVnni).choose(never)).toEqual(forms[0]);
    expect(measured).toBe(1);
  });

  it("is measured anew on another machine, and both are kept", async () => {
    await choice("auto", withVnni, "Zen 4").choose(never);
    expect(await choice("auto", withoutVnni, "Zen 3").choose(never)).toEqual({
      form: "f32",
      saturates: true,
    });
    const kept = JSON.parse(await readFile(path.join(stateFolder, "calibration.json"), "utf8"));
    expect(kept).toEqual({ "Zen 4": withVnni, "Zen 3": withoutVnni });
  });

  it.each(["{", `{"this machine":{"f32":"fast"}}`])(
    "is measured anew where %s was kept",
    async (text) => {
      await writeFile(path.join(stateFolder, "calibration.json"), text);
      expect(await choice("auto", withVnni).choose(never)).toMatchObject({ form: "int8" });
      expect(measured).toBe(1);
    },
  );

  it("can be pinned, and knows even then whether products saturate", async () => {
    expect(await choice("f32", withVnni).choose(never)).toEqual({ form: "f32", saturates: false });
    expect(measured).toBe(0);
    expect(await choice("int8", withoutVnni).choose(never)).toEqual({
      form: "int8",
      saturates: true,
    });
  });

  it("is to be checked for accuracy only where nobody has pinned it", () => {
    const pinned = (["auto", "f32", "int8"] as const).map(
      (setting) => choice(setting, withVnni).pinned,
    );
    expect(pinned).toEqual([false, true, true]);
  });

  it("is f16 on a GPU, checked for accuracy unless pinned, and each device has its own forms", async () => {
    const auto = deviceFormChoice("auto");
    expect([auto.pinned, deviceFormChoice("f32").pinned]).toEqual([false, true]);
    expect(await auto.choose(never)).toEqual({ form: "f16", saturates: false });
    expect(await deviceFormChoice("f32").choose(never)).toMatchObject({ form: "f32" });
    expect(() => deviceFormChoice("int8")).toThrow(/LLM_OS_FORM is int8, but a GPU/);
    expect(() => choice("f16", withVnni)).toThrow(/LLM_OS_FORM is f16, but a CPU/);
  });

  it("is the safe one where nothing can be measured", async () => {
    const failing = choice("auto", new Error("no runtime"));
    expect(await failing.choose(never)).toEqual({ form: "f32", saturates: true });
    await expect(readFile(path.join(stateFolder, "calibration.json"))).rejects.toThrow("ENOENT");
  });
});
