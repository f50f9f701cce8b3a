/** The look of the welcome page: one column, the reader's own fonts, light or dark as their system is. */
export const welcomeStyle = `
:root {
  color-scheme: light dark;
  --ground: light-dark(#faf9f7, #131519);
  --panel: light-dark(#ffffff, #1b1e24);
  --ink: light-dark(#1b1e23, #eceae6);
  --quiet: light-dark(#62666e, #a2a6ae);
  --line: light-dark(#e3e0da, #2d3139);
  --accent: light-dark(#2450c4, #93b2ff);
  --ready: light-dark(#17804c, #5fd39a);
  --failed: light-dark(#b3362b, #ff8a7d);
  --code: #14171d;
  --code-line: #2d323c;
  --code-ink: #e9e7e2;
  --code-quiet: #a4a9b3;
  --code-text: #a5dcb4;
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
body {
  margin: 0 auto; padding: 0 1.25rem 4rem; max-width: 68rem;
  background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; -webkit-text-size-adjust: 100%;
}
a { color: var(--accent); text-underline-offset: .2em; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: .25rem; }
h1, h2, h3, p, pre, ul, dl, dd, fieldset { margin: 0; padding: 0; border: 0; min-width: 0; }
h1 { margin-top: 1.75rem; font-size: clamp(1.75rem, 5vw, 2.75rem); line-height: 1.1; letter-spacing: -.03em; }
h2 { font-size: 1.5rem; line-height: 1.2; letter-spacing: -.02em; }
h3 { font-size: 1rem; }
code {
  font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: .875em;
  overflow-wrap: anywhere;
}
ul { list-style: none; }
main > section:not(.card) { margin-top: 3.5rem; scroll-margin-top: 1rem; }
.quiet { color: var(--quiet); }
.unseen { position: absolute; width: 1px; padding: 0; height: 1px; overflow: hidden; clip-path: inset(50%); }

body > header { display: flex; align-items: center; justify-content: space-between; gap: 1rem; padding: .9rem 0; }
.brand { color: inherit; font-weight: 700; letter-spacing: -.02em; text-decoration: none; }
nav { display: flex; gap: 1.25rem; font-size: .9rem; }
nav a { color: var(--quiet); text-decoration: none; }
nav a:hover { color: var(--ink); }
.lead {
  margin-top: .6rem; text-wrap: pretty; font-size: clamp(1rem, 2.6vw, 1.2rem);
  line-height: 1.45;
}
.summary { margin: .6rem 0 1.4rem; text-wrap: pretty; color: var(--quiet); font-size: .95rem; }
.dot {
  display: inline-block; width: .55em; height: .55em; margin-right: .5em; border-radius: 50%;
  background: var(--quiet);
}
.dot.ready { background: var(--ready); }
.dot.fetching { background: var(--accent); }
.dot.failed { background: var(--failed); }

.card {
  overflow: hidden; border: 1px solid var(--code-line); border-radius: .85rem; background: var(--code);
  color: var(--code-ink);
}
.card :focus-visible { outline-color: #93b2ff; }
.split { display: grid; grid-template-columns: minmax(0, 1.35fr) minmax(0, 1fr); }
.card fieldset, .bar {
  display: flex; align-items: center; height: 2.75rem; padding: 0 .5rem 0 1rem;
  border-bottom: 1px solid var(--code-line);
}
.card input { position: absolute; opacity: 0; pointer-events: none; }
.card label {
  display: flex; align-items: center; height: 100%; margin-right: 1.1rem; border-block: 2px solid transparent;
  color: var(--code-quiet); font-size: .875rem; cursor: pointer;
}
.card label:hover { color: var(--code-ink); }
.card input:checked + label { border-bottom-color: #93b2ff; color: var(--code-ink); }
.card input:focus-visible + label { outline: 2px solid #93b2ff; outline-offset: -4px; border-radius: .4rem; }
.card button {
  margin-left: auto; padding: .2rem .7rem; border: 1px solid #4a515e; border-radius: .4rem; background: none;
  color: var(--code-ink); font: inherit; font-size: .8rem; line-height: 1.5; cursor: pointer;
}
.card button:hover { border-color: var(--code-quiet); background: #222731; }
.card button:disabled { color: var(--code-quiet); cursor: default; }
.card button[hidden] { display: none; }
.card pre { padding: .9rem 1rem; font-size: .92rem; line-height: 1.5; white-space: pre-wrap; }
.card .text { color: var(--code-text); }
.panel { display: none; }
.tabbed:has(input:nth-of-type(1):checked) .panel:nth-of-type(1),
.tabbed:has(input:nth-of-type(2):checked) .panel:nth-of-type(2),
.tabbed:has(input:nth-of-type(3):checked) .panel:nth-of-type(3) { display: block; }
.answer { display: flex; flex-direction: column; border-left: 1px solid var(--code-line); }
.answer h2 { color: var(--code-quiet); font-size: .875rem; font-weight: 400; letter-spacing: 0; }
.answer p { margin-top: auto; padding: 0 1rem .8rem; color: var(--code-quiet); font-size: .8rem; }

.facts {
  display: grid; grid-template-columns: repeat(4, 1fr); gap: 1rem; margin-top: 1.5rem; color: var(--quiet);
  font-size: .9rem;
}
.facts strong { display: block; color: var(--ink); font-size: 1.15rem; letter-spacing: -.01em; }

.group { margin-top: 1.5rem; }
.group > p { font-size: .9rem; }
.models { margin-top: .75rem; border: 1px solid var(--line); border-radius: .85rem; background: var(--panel); }
.models > li {
  display: grid; grid-template-columns: minmax(0, 1.25fr) minmax(0, 1.5fr) 19.5rem; gap: .5rem 1.5rem;
  padding: .8rem 1rem;
}
.models > li + li { border-top: 1px solid var(--line); }
.name > code { display: block; font-size: .9rem; font-weight: 600; }
.name > span { display: block; font-size: .85rem; }
.reason { color: var(--failed); }
.tasks { display: flex; flex-wrap: wrap; gap: .3rem; align-content: start; }
.tasks li {
  padding: .05rem .55rem; border: 1px solid var(--line); border-radius: 1rem; font-size: .8rem;
  white-space: nowrap;
}
dl { display: grid; grid-template-columns: 6.25rem 4.5rem minmax(0, 1fr); gap: .75rem; font-size: .85rem; }
dt { color: var(--quiet); font-size: .75rem; }
dd { font-variant-numeric: tabular-nums; }

section > h2 + p { margin: .5rem 0 1rem; }
.address { padding: .2rem .45rem; border: 1px solid var(--line); border-radius: .4rem; background: var(--panel); }
.links { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: .75rem; margin: 1rem 0; }
.links li { padding: .8rem 1rem; border: 1px solid var(--line); border-radius: .7rem; background: var(--panel); }
.links a { display: block; font-weight: 600; }
.links span { font-size: .9rem; }

@media (min-width: 52.01rem) {
  .models > li + li dt { position: absolute; clip-path: inset(50%); }
}
@media (max-width: 52rem) {
  body { padding-inline: 1rem; }
  h1 { margin-top: .75rem; }
  .split { grid-template-columns: minmax(0, 1fr); }
  .answer { border: 0; border-top: 1px solid var(--code-line); }
  .card pre { padding: .75rem 1rem; font-size: .9rem; }
  .facts { grid-template-columns: 1fr 1fr; }
  .models > li { grid-template-columns: minmax(0, 1fr); gap: .6rem; }
  main > section:not(.card) { margin-top: 2.75rem; }
}
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
`;
