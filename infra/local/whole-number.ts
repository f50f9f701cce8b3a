/** A number on the command line: refused in words where it is none, or out of its range. */
import { InvalidArgumentError } from "commander";

/** What commander reads an option's value with. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`expected a whole number from ${min} to ${max}`);
  };
}
