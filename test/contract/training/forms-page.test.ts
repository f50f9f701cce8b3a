/** The page for people shows the forms as they are in the contract. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";
import { FormName, forms, formSchemas } from "#contract/training/forms.ts";

const page = path.resolve(import.meta.dirname, "../../../docs/fine-tuning-data.md");
const rows = readFileSync(page, "utf8")
  .split("\n")
  .map((line) => line.split("|").map((cell) => cell.trim()));

it.each(FormName.options)("shows an example of %s, which is one", (form) => {
  const { example, task } = forms[form];
  expect(formSchemas[form].safeParse(example).success).toBe(true);
  const [, , taskShown, shown = ""] = rows.find(([, name]) => name === `\`${form}\``) ?? [];
  expect(taskShown).toBe(task);
  expect(JSON.parse(shown.replaceAll("`", ""))).toEqual(example);
});
