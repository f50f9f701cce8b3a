/** Python's strftime for chat templates, which date their system prompts: in English and UTC on every machine. */

const names = {
  "%a": { weekday: "short" },
  "%A": { weekday: "long" },
  "%b": { month: "short" },
  "%B": { month: "long" },
} as const satisfies Record<string, Intl.DateTimeFormatOptions>;

const numbers: Readonly<Record<string, (date: Date) => number>> = {
  "%d": (date) => date.getUTCDate(),
  "%m": (date) => date.getUTCMonth() + 1,
  "%y": (date) => date.getUTCFullYear() % 100,
  "%H": (date) => date.getUTCHours(),
  "%M": (date) => date.getUTCMinutes(),
  "%S": (date) => date.getUTCSeconds(),
};

const isName = (directive: string): directive is keyof typeof names => directive in names;

/** @throws Error for a directive that is not known */
export function strftime(date: Date, format: string): string {
  return format.replaceAll(/%./gs, (directive) => {
    if (directive === "%%") return "%";
    if (directive === "%Y") return String(date.getUTCFullYear());
    if (isName(directive)) {
      return new Intl.DateTimeFormat("en", { ...names[directive], timeZone: "UTC" }).format(date);
    }
    const number = numbers[directive];
    if (number === undefined) throw new Error(`strftime_now does not know ${directive}`);
    return String(number(date)).padStart(2, "0");
  });
}
