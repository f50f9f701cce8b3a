import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { findChatTemplate } from "../../gpu-worker/tokenizer/chat-template-file.ts";

describe("a checkpoint's chat template", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), "chat-template-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const write = (name: string, text: string) => writeFileSync(path.join(folder, name), text);
  const configure = (config: object) => write("tokenizer_config.json", JSON.stringify(config));
  const find = () => findChatTemplate({ folder, gguf: "of the GGUF file" });

  it("is its own file's, else its tokenizer_config.json's, else its GGUF file's", async () => {
    expect(await findChatTemplate({ folder, gguf: null })).toBeNull();
    expect(await find()).toBe("of the GGUF file");
    configure({ bos_token: "<s>" });
    expect(await find()).toBe("of the GGUF file");
    configure({ chat_template: "of the config" });
    expect(await find()).toBe("of the config");
    write("chat_template.jinja", "of the file\n");
    expect(await find()).toBe("of the file\n");
  });

  it("is the default one of a list", async () => {
    const tools = { name: "tool_use", template: "with tools" };
    configure({ chat_template: [tools, { name: "default", template: "usual" }] });
    expect(await find()).toBe("usual");
    configure({ chat_template: [tools] });
    expect(await find()).toBe("of the GGUF file");
  });

  it("of a wrong kind is an error that names the file", async () => {
    configure({ chat_template: 5 });
    await expect(find()).rejects.toThrow(/tokenizer_config\.json cannot be used/);
  });
});
