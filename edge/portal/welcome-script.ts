/**
 * What the welcome page does where scripts run: copies a request, and sends the first one to show its answer of now.
 * The page says all it has to say without it.
 */
export const welcomeScript = `
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const panels = [...button.closest(".tabbed").querySelectorAll(".panel")];
    const shown = panels.find((panel) => panel.offsetParent !== null);
    await navigator.clipboard.writeText(shown.textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}

const run = document.querySelector("[data-path]");
const told = document.querySelector("[role=status]");
run.hidden = false;
run.addEventListener("click", async () => {
  run.disabled = true;
  told.textContent = "Waiting for the answer …";
  const startedAtMs = performance.now();
  try {
    const response = await fetch(run.dataset.path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: run.dataset.body,
    });
    const answer = await response.json();
    const ms = Math.round(performance.now() - startedAtMs);
    const cached = response.headers.get("x-cache") === "hit" ? ", from the cache" : "";
    const lines = Array.isArray(answer) ? answer.map((each) => JSON.stringify(each)) : null;
    document.querySelector(".answer code").textContent =
      lines === null ? JSON.stringify(answer, null, 2) : "[\\n  " + lines.join(",\\n  ") + "\\n]";
    told.textContent = "Just now: " + response.status + " in " + ms + " ms" + cached;
  } catch {
    told.textContent = "No answer came. Is it still running?";
  }
  run.disabled = false;
});
`;
