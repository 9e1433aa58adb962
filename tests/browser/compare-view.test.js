import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { look, startTools } from "./tools.js";

let tools;
before(async () => {
  tools = await startTools();
});
after(() => tools?.close());

async function open(options) {
  const opened = await tools.open("results/compare-view.js", options);
  const { page } = opened;
  await page.evaluate(async (url) => {
    window.view = new window.tool.CompareView(document.getElementById("view"));
    const pictures = `${url}www/pictures/`;
    window.view.show({
      before: `${pictures}photo-coffee.jpg`,
      after: `${pictures}style-van-gogh-auvers.jpg`,
      width: 512,
      height: 512,
      beforeName: "the photo Cup of coffee",
      afterName: "Cup of coffee, repainted",
    });
  }, tools.url);
  await page.getByLabel("Compare with the photo").waitFor();
  await page.waitForTimeout(100);
  return { ...opened, stage: page.getByRole("group", { name: /^Before and after/ }) };
}

const slider = (page) => page.getByLabel("Compare with the photo").inputValue();
const zoom = (page) => page.locator("#view output").innerText();
/** Where a picture is drawn: its offset from the stage in pixels, and its width relative to the stage's. */
const plane = (page, which) =>
  page.evaluate((which) => {
    const image = document.querySelectorAll(".compare-plane img")[which === "after" ? 0 : 1].getBoundingClientRect();
    const stage = document.querySelector(".compare-stage").getBoundingClientRect();
    return { x: image.x - stage.x, y: image.y - stage.y, width: image.width / stage.width };
  }, which);
const settled = (page) =>
  page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));

test("the divider follows a drag that begins anywhere, and a click leaves it", async () => {
  const { page, stage, faults, context } = await open();
  const box = await stage.boundingBox();
  assert.deepEqual([Math.round(box.width), Math.round(box.height)], [512, 512]);
  await page.mouse.click(box.x + 100, box.y + 100);
  assert.equal(await slider(page), "50");
  await page.mouse.move(box.x + 100, box.y + 100);
  await page.mouse.down();
  await page.mouse.move(box.x + 128, box.y + 300, { steps: 4 });
  await page.mouse.up();
  assert.equal(await slider(page), "25");
  await settled(page);
  const reveal = await page.locator(".compare-reveal").boundingBox();
  assert.ok(Math.abs(reveal.x + reveal.width - (box.x + 128)) < 1, "the photo ends at the divider");
  // The photo and the result are still drawn at the same place.
  assert.deepEqual(await plane(page, "before"), await plane(page, "after"));
  await page.mouse.move(box.x + 400, box.y + 100);
  assert.equal(await slider(page), "25", "nothing follows a pointer that was let go");
  assert.deepEqual(faults, []);
  await context.close();
});

test("the slider and the keys move the divider", async () => {
  const { page, stage, context } = await open();
  const range = page.getByLabel("Compare with the photo");
  await range.fill("80");
  await settled(page);
  assert.equal(await range.getAttribute("aria-valuetext"), "80 % photo, 20 % result");
  const box = await stage.boundingBox();
  const reveal = await page.locator(".compare-reveal").boundingBox();
  assert.ok(Math.abs(reveal.x + reveal.width - (box.x + 0.8 * box.width)) < 1);
  await stage.focus();
  await page.keyboard.press("ArrowLeft");
  assert.equal(await slider(page), "78");
  await page.keyboard.press("Shift+ArrowRight");
  assert.equal(await slider(page), "88");
  for (let i = 0; i < 3; i++) await page.keyboard.press("Shift+ArrowRight");
  assert.equal(await slider(page), "100");
  await context.close();
});

test("wheel with Ctrl, buttons, double click and keys zoom to 8 and back; a drag pans", async () => {
  const { page, stage, context } = await open();
  const box = await stage.boundingBox();
  await page.mouse.move(box.x + 128, box.y + 128);
  await page.mouse.wheel(0, -100);
  assert.equal(await zoom(page), "1×", "a plain wheel scrolls the page");
  await page.evaluate(() => scrollTo(0, 0));
  await page.keyboard.down("Control");
  await page.mouse.wheel(0, -100);
  await page.keyboard.up("Control");
  await settled(page);
  assert.equal(await zoom(page), "1.6×");
  const wheeled = await plane(page, "after");
  // The point under the pointer, a quarter of the stage from the left and the top, has not moved.
  assert.ok(Math.abs(wheeled.x + 0.25 * wheeled.width * 512 - 128) < 1, JSON.stringify(wheeled));
  for (let i = 0; i < 8; i++) await page.getByRole("button", { name: "Zoom in" }).click();
  assert.equal(await zoom(page), "8×");

  await page.getByRole("button", { name: "Fit" }).click();
  assert.equal(await zoom(page), "1×");
  await page.mouse.dblclick(box.x + 256, box.y + 256);
  assert.equal(await zoom(page), "3×");
  assert.equal(await slider(page), "50", "clicks do not move the divider");
  await settled(page);
  const middle = await plane(page, "after");
  await page.mouse.move(box.x + 100, box.y + 100); // away from the divider
  await page.mouse.down();
  await page.mouse.move(box.x + 150, box.y + 90, { steps: 3 });
  await page.mouse.up();
  await settled(page);
  const panned = await plane(page, "after");
  assert.ok(Math.abs(panned.x - middle.x - 50) < 1 && Math.abs(panned.y - middle.y + 10) < 1);
  assert.deepEqual(await plane(page, "before"), panned);
  await page.mouse.move(box.x + 256, box.y + 100); // on the divider
  await page.mouse.down();
  await page.mouse.move(box.x + 384, box.y + 100, { steps: 3 });
  await page.mouse.up();
  assert.equal(await slider(page), "75");

  await stage.focus();
  await page.keyboard.press("ArrowRight");
  await settled(page);
  assert.ok((await plane(page, "after")).x < panned.x, "the arrow looks further right");
  for (let i = 0; i < 30; i++) await page.keyboard.press("ArrowRight");
  await settled(page);
  assert.ok(Math.abs((await plane(page, "after")).x + 2 * 512) < 1, "and stops at the picture's edge");
  await page.keyboard.press("0");
  assert.equal(await zoom(page), "1×");
  await page.keyboard.press("+");
  assert.equal(await zoom(page), "1.5×");
  await page.keyboard.press("-");
  assert.equal(await zoom(page), "1×");
  await context.close();
});

test("at phone width it fits, 1:1 enlarges, and two fingers zoom", async () => {
  const { page, stage, context } = await open({
    viewport: { width: 360, height: 740 },
    hasTouch: true,
    isMobile: true,
  });
  const box = await stage.boundingBox();
  assert.ok(box.width <= 328 && Math.abs(box.width - box.height) < 1, JSON.stringify(box));
  for (const name of ["Zoom in", "Zoom out", "Fit", "1:1"]) {
    const { width, height } = await page.getByRole("button", { name, exact: true }).boundingBox();
    assert.ok(width >= 44 && height >= 44, `${name}: ${width} × ${height}`);
  }
  await page.getByRole("button", { name: "1:1" }).click();
  await settled(page);
  assert.ok(Math.abs((await plane(page, "after")).width * box.width - 512) < 1);
  await page.getByRole("button", { name: "Fit" }).click();

  const touch = await context.newCDPSession(page);
  const send = (type, ...points) =>
    touch.send("Input.dispatchTouchEvent", {
      type,
      touchPoints: points.map(([x, y], id) => ({ x: box.x + x, y: box.y + y, id })),
    });
  await send("touchStart", [120, 160]);
  await send("touchStart", [120, 160], [200, 160]);
  await send("touchMove", [80, 160], [240, 160]);
  await send("touchMove", [60, 160], [260, 160]);
  await send("touchEnd");
  assert.equal(await zoom(page), "2.5×");
  await context.close();
});

test("a photo that the browser cannot show leaves the result alone, with a sentence", async () => {
  const { page, context } = await open();
  await page.evaluate(() => {
    const after = document.querySelector(".compare-plane img").src;
    const before = URL.createObjectURL(new Blob(["II*"], { type: "image/tiff" }));
    window.view.show({
      before,
      after,
      width: 640,
      height: 470,
      beforeName: "scan.tif",
      afterName: "scan.tif, repainted",
    });
  });
  await page.getByText("This browser cannot show scan.tif").waitFor();
  assert.ok(await page.getByLabel("Compare with the photo").isHidden());
  assert.ok(await page.locator(".compare-divider").isHidden());
  await context.close();
});

test("the next pair comes without a jump, and keeps divider and zoom where its size is the same", async () => {
  const { page, context } = await open();
  await page.getByLabel("Compare with the photo").fill("30");
  await page.getByRole("button", { name: "Zoom in" }).click();
  const shift = await page.evaluate(async () => {
    const [after, before] = [...document.querySelectorAll(".compare-plane img")].map(({ src }) => src);
    let shift = 0;
    new PerformanceObserver((list) => list.getEntries().forEach(({ value }) => (shift += value))).observe({
      type: "layout-shift",
    });
    const height = document.getElementById("view").offsetHeight;
    const heights = new Set([height]);
    const pair = { before: `${before}?again`, after, width: 512, height: 512, beforeName: "a", afterName: "b" };
    window.view.show(pair);
    for (let frame = 0; frame < 20; frame++) {
      await new Promise(requestAnimationFrame);
      heights.add(document.getElementById("view").offsetHeight);
    }
    return { shift, heights: heights.size };
  });
  assert.deepEqual(shift, { shift: 0, heights: 1 });
  assert.deepEqual([await slider(page), await zoom(page)], ["30", "1.5×"]);
  await page.evaluate(() => {
    const [after, before] = [...document.querySelectorAll(".compare-plane img")].map(({ src }) => src);
    window.view.show({ before, after, width: 640, height: 433, beforeName: "a", afterName: "b" });
  });
  assert.deepEqual([await slider(page), await zoom(page)], ["50", "1×"]);
  await context.close();
});

test("how it looks", async () => {
  const { page, stage, context } = await open();
  await stage.focus();
  await page.keyboard.press("ArrowLeft");
  await look(page, "compare");
  await context.close();
});
