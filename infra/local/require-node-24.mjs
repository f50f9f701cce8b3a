/**
 * Imported before every entry point: an older Node cannot run TypeScript, so it is told in words what is missing.
 * On Linux and Windows `npm ci` brings Node 24 along and npm scripts use it; elsewhere it has to be installed.
 * Plain JavaScript in an old dialect, since an old Node must be able to read it.
 */
const wanted = 24;
const found = Number(process.versions.node.split(".")[0]);

if (found < wanted) {
  console.error(
    `LLM OS needs Node ${wanted} or newer; this is Node ${process.versions.node} (${process.execPath}).\n` +
      "Install it from https://nodejs.org and run the command again. " +
      "On Linux and Windows `npm ci` installs it with the\nother packages: " +
      "use the npm scripts (npm start, npm run demo …), and do not omit optional dependencies.",
  );
  process.exit(1);
}
