/** The look of the welcome page: one column, the reader's own fonts, light or dark as their system is. */
export const welcomeStyle = `
:root {
  color-scheme: light dark;
  --ground: light-dark(#fbfaf8, #14161a);
  --panel: light-dark(#ffffff, #1c1f25);
  --ink: light-dark(#1d2025, #e8e6e1);
  --quiet: light-dark(#6b6f76, #9a9ea6);
  --line: light-dark(#e4e1db, #2c3038);
  --accent: light-dark(#2f5bd3, #8fb0ff);
  --good: light-dark(#1c7a4a, #5fd39a);
  --bad: light-dark(#b3362b, #ff8a7d);
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 3.5rem 1.25rem 5rem; max-width: 56rem;
  background: var(--ground); color: var(--ink);
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", sans-serif;
}
h1 { margin: .25rem 0 0; font-size: 2.75rem; line-height: 1.1; letter-spacing: -.03em; }
h2 { margin: 3rem 0 1rem; font-size: 1.15rem; letter-spacing: -.01em; }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: .875em; }
a { color: var(--accent); text-underline-offset: .2em; }
.lead { margin: .75rem 0 1.25rem; max-width: 38rem; font-size: 1.15rem; }
.quiet { color: var(--quiet); }
.status { margin: 0; color: var(--quiet); font-size: .9rem; }
.dot { display: inline-block; width: .55rem; height: .55rem; margin-right: .35rem; border-radius: 50%; }
.dot.good { background: var(--good); }
.dot.idle { background: var(--quiet); }
.address code {
  padding: .5rem .8rem; border: 1px solid var(--line); border-radius: .5rem; background: var(--panel);
}
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: .75rem; background: var(--panel); }
table { width: 100%; border-collapse: collapse; font-size: .9rem; }
th, td { padding: .65rem .9rem; text-align: left; vertical-align: top; }
th { color: var(--quiet); font-weight: 500; }
tr + tr td, tbody tr:first-child td { border-top: 1px solid var(--line); }
td:first-child, td:nth-child(4), td:nth-child(5) { white-space: nowrap; font-variant-numeric: tabular-nums; }
.reason { max-width: 18rem; font-size: .8rem; }
.badge { padding: .1rem .5rem; border: 1px solid currentcolor; border-radius: 1rem; font-size: .8rem; white-space: nowrap; }
.badge.good { color: var(--good); }
.badge.idle { color: var(--quiet); }
.badge.bad { color: var(--bad); }
figure {
  position: relative; margin: 0 0 1rem; border: 1px solid var(--line); border-radius: .75rem;
  background: var(--panel); overflow: hidden;
}
figcaption { padding: .55rem .9rem; border-bottom: 1px solid var(--line); color: var(--quiet); font-size: .85rem; }
pre { margin: 0; padding: .9rem; overflow-x: auto; line-height: 1.5; }
button {
  position: absolute; top: .35rem; right: .5rem; padding: .15rem .6rem; border: 1px solid var(--line);
  border-radius: .4rem; background: none; color: var(--quiet); font: inherit; font-size: .8rem; cursor: pointer;
}
button:hover, button:focus-visible { color: var(--ink); border-color: var(--quiet); }
.links { margin: 0; padding-left: 1.1rem; }
`;
