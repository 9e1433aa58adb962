import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { look, startTools } from "./tools.js";

let tools;
before(async () => {
  tools = await startTools();
});
after(() => tools?.close());

test("a curve is drawn with a marker a step, and says what it shows", async () => {
  const { page, faults, context } = await tools.open("forms/curve.js");
  await page.evaluate(() => {
    const { curvePoints, drawCurve } = window.tool;
    const even = (steps) => Array.from({ length: steps }, (_, i) => i / (steps - 1));
    const draw = (drawing) => {
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      document.getElementById("view").append(svg);
      drawCurve(svg, drawing);
    };
    draw({ points: curvePoints({ curve: "cosine", end: 0.375 }, 0.75, even(20)), name: "γ", range: [0, 1] });
    draw({ points: curvePoints(null, 1.5, even(20)), name: "T" });
    draw({ points: curvePoints({ curve: "exponential", end: 3 }, 1, even(500)), name: "T" });
    draw({ points: [0.75], name: "γ" });
  });
  const svg = page.getByRole("img");
  assert.deepEqual(await svg.evaluateAll((all) => all.map((it) => it.getAttribute("aria-label"))), [
    "γ goes from 0.75 to 0.375 over 20 steps",
    "T is 1.5 at all 20 steps",
    "T goes from 1 to 3 over 500 steps",
    "γ is 0.75 at the one step",
  ]);
  assert.equal(await svg.first().locator("circle").count(), 20);
  assert.ok((await svg.nth(2).locator("circle").count()) <= 62);
  assert.deepEqual(await svg.first().locator("text").allTextContents(), ["0.75", "0.375"]);
  const ys = await svg
    .first()
    .locator("circle")
    .evaluateAll((all) => all.map((it) => Number(it.getAttribute("cy"))));
  // Between 0 and 1 the curve lies in the middle of the drawing: 10 + 52 · (1 − γ).
  assert.ok(Math.abs(ys[0] - 23) < 1e-6 && Math.abs(ys.at(-1) - 42.5) < 1e-6, `${ys[0]}, ${ys.at(-1)}`);
  assert.deepEqual(faults, []);
  await look(page, "curve");
  await context.close();
});
