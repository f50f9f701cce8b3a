/** The style of a report's page: one column, light and dark, from 390 px on. */
export const reportStyle = `
:root {
  color-scheme: light dark;
  --paper: #fff; --ink: #1b1f24; --quiet: #59636e; --line: #d8dee4; --card: #f6f8fa;
  --first: #0b62c4; --second: #b34a00; --good: #14713c; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #0f1318; --ink: #e6e9ed; --quiet: #9aa5b1; --line: #323a44; --card: #171c23;
    --first: #6fb0ff; --second: #ff9d5c; --good: #5fd08a; --bad: #ff8f86;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1rem; max-width: 60rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif;
}
h1 { margin: .5rem 0; font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { margin: 2rem 0 .5rem; font-size: 1.125rem; }
p { margin: .5rem 0; }
.quiet { color: var(--quiet); font-size: .875rem; }
.verdict { padding: .75rem 1rem; border-left: .35rem solid var(--quiet); background: var(--card); }
.verdict.deploy { border-color: var(--good); }
.verdict.no_gain { border-color: var(--bad); }
.verdict.more_labels { border-color: var(--second); }
.verdict strong { font-size: 1.25rem; }
.verdict ul { margin: .5rem 0 0; padding-left: 1.1rem; }
table { width: 100%; border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .35rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
th:first-child, td:first-child { min-width: 4.75rem; text-align: left; overflow-wrap: anywhere; }
thead th { color: var(--quiet); font-weight: normal; }
tbody th { font-weight: normal; }
tbody.averages th, tbody.averages td { background: var(--card); }
summary { padding: .5rem 0; cursor: pointer; }
figure { margin: 1rem 0; max-width: 40rem; }
figure svg { display: block; width: 100%; height: auto; font-family: system-ui, sans-serif; }
figcaption { color: var(--quiet); font-size: .875rem; }
.charts { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
.regressions { margin: 0; padding: 0; list-style: none; }
.regressions li { padding: .75rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
.regressions p { white-space: pre-line; }
.regressions dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 .75rem; margin: 0; font-size: .875rem; }
.regressions dt { color: var(--quiet); }
.regressions dd { margin: 0; }
@media print { details > * { display: block; } }
`;
