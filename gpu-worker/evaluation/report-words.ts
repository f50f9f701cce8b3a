/** Numbers of a report as people read them. */
import type {
  StopReason,
  TableLevel,
  TrainingReport,
} from "#contract/training/evaluation-report.ts";

/** What the tuned model is compared with. */
export const baseNames: Readonly<Record<TrainingReport["base_kind"], string>> = {
  zero_shot: "without training",
  majority: "commonest answer",
  base_model: "base model",
};

export const stopReasons: Readonly<Record<StopReason, string>> = {
  completed: "all epochs were done",
  early_stopping: "the validation split no longer gained",
  time_limit: "the time was used up",
  cancelled: "it was cancelled",
  diverged: "the loss was no number any more",
};

export const levels: Readonly<Record<TableLevel, string>> = {
  row: "Classes",
  token: "Tokens",
  token_without_outside: "Tokens without O",
  entity: "Entities",
  entity_strict: "Entities, strict IOB2",
};

/** Shares with four places, larger numbers with five digits. */
export function figure(value: number | null): string {
  if (value === null) return "not defined";
  return Math.abs(value) <= 1
    ? value.toFixed(4)
    : Number(value.toPrecision(5)).toLocaleString("en");
}

export function signed(value: number): string {
  return `${value > 0 ? "+" : value < 0 ? "−" : "±"}${figure(Math.abs(value))}`;
}

export function count(value: number): string {
  return value.toLocaleString("en");
}

export function bytes(value: number): string {
  const units = ["bytes", "KB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, value)) / 3));
  return `${Number((value / 1000 ** power).toPrecision(3))} ${units[power]}`;
}
