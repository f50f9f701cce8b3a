/**
 * The published description against OpenAPI 3.1's own schema, and against the routes there are. In Node: ajv compiles
 * code.
 */
import { Validator } from "@seriousme/openapi-schema-validator";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { routes } from "../../../edge/app.ts";
import { describeApi } from "../../../edge/openapi/describe-api.ts";
import { publishedTasks, taskTable } from "#contract/task-table.ts";

const Description = z.looseObject({
  servers: z.array(z.object({ url: z.string() })),
  components: z.record(z.string(), z.record(z.string(), z.unknown())),
  paths: z.record(z.string(), z.record(z.string(), z.looseObject({ operationId: z.string() }))),
});

const document = Description.parse(JSON.parse(JSON.stringify(describeApi("https://edge.test"))));

/** An operation as it stands in the text, with all that it refers to, and that refers to. */
function textOf(path: string): string {
  const texts = new Map([[path, JSON.stringify(document.paths[path])]]);
  for (const text of texts.values()) {
    for (const [found, kind = "", name = ""] of text.matchAll(/#\/components\/(\w+)\/([\w-]+)/g)) {
      texts.set(found, JSON.stringify(document.components[kind]?.[name]));
    }
  }
  return [...texts.values()].join("\n");
}

/** `/v1/models/:id{.+}` and `/v1/models/{model}` alike, as `/v1/models/*`. */
function shapeOf(path: string): string {
  return path.replaceAll(/:\w+(\{[^}]*\})?|\{\w+\}/g, "*");
}

describe("the description", () => {
  it("is valid OpenAPI 3.1", async () => {
    const validator = new Validator();
    expect(await validator.validate(structuredClone(document))).toEqual({ valid: true });
    expect(validator.version).toBe("3.1");
  });

  it("names no operation twice", () => {
    const ids = Object.values(document.paths).flatMap((methods) =>
      Object.values(methods).map(({ operationId }) => operationId),
    );
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("publishes every route of callers, with its methods", () => {
    const open = routes.filter(({ path }) => /^\/(v1|v2|hf|rerank|healthz)/.test(path));
    for (const { path, on } of open) {
      const family = shapeOf(path);
      const published = Object.entries(document.paths).filter(([candidate]) => {
        const shape = shapeOf(candidate);
        return shape === family || (family.endsWith("*") && shape.startsWith(family.slice(0, -1)));
      });
      const methods = new Set(published.flatMap(([, operations]) => Object.keys(operations)));
      for (const method of Object.keys(on)) expect(methods, path).toContain(method.toLowerCase());
    }
  });

  it("says what the routes enforce", () => {
    const text = textOf("/v1/embeddings");
    expect(text).toContain('"maxItems":2048');
    expect(text).toContain('"enum":["float","base64"]');
    expect(text).toContain('"additionalProperties":false');
    expect(text).toContain('"name":"x-token-ids","in":"header"');
    expect(text).toContain('"enum":["model","cl100k_base","either"]');
  });

  it("takes a list for one of inputs, where an input may be a list itself", () => {
    const Inputs = z.object({ anyOf: z.tuple([z.unknown(), z.object({ items: z.unknown() })]) });
    const Request = z.looseObject({ properties: z.looseObject({ inputs: Inputs }) });
    const request = Request.parse(document.components["schemas"]?.["TextClassificationRequest"]);
    const [one, several] = request.properties.inputs.anyOf;
    expect(JSON.stringify(one)).not.toContain('"array"');
    expect(JSON.stringify(several.items)).toContain('"array"');
  });

  it("asks for the label's place in a template", () => {
    expect(textOf("/v1/tasks/zero-shot-classification")).toContain(String.raw`"pattern":"\\{\\}"`);
  });

  it("publishes every task with its own inputs and parameters", () => {
    const published = publishedTasks.flatMap((task) => {
      const under =
        taskTable[task].huggingFace === null ? [] : [`/hf/models/{model}/pipeline/${task}`];
      return [`/v1/tasks/${task}`, ...under].map((path) => ({ task, path }));
    });
    for (const { task, path } of published) {
      const text = textOf(path);
      for (const name of Object.keys(taskTable[task].parameters.shape)) {
        expect(text, path).toContain(`"${name}"`);
      }
    }
  });
});
