import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { PNG } from "pngjs";
import { look, startTools } from "./tools.js";

let tools;
before(async () => {
  tools = await startTools();
});
after(() => tools?.close());

/** Opens the dialog on the 600 × 400 sample with two styles. The next opening gets the masks of the last result. */
async function open(options = {}) {
  const opened = await tools.open("pictures/mask-painter.js", options);
  const { page } = opened;
  await page.evaluate((url) => {
    const masks = new window.tool.MaskDialog(document.getElementById("dialog"));
    const pictures = `${url}www/pictures/`;
    const photo = { url: `${pictures}photo-coffee.jpg`, width: 600, height: 400, name: "Cup of coffee" };
    window.styles = ["hokusai-great-wave", "van-gogh-auvers"].map((file, i) => ({
      name: ["The Great Wave", "Cottages at Auvers"][i],
      url: `${pictures}style-${file}.jpg`,
      mask: null,
    }));
    document.getElementById("opener").addEventListener("click", async () => {
      window.result = "open";
      const result = await masks.edit(photo, window.styles);
      window.same = result?.map((mask, i) => mask === window.styles[i].mask);
      result?.forEach((mask, i) => (window.styles[i].mask = mask));
      window.result = result ?? "closed";
    });
  }, tools.url);
  const dialog = page.getByRole("dialog", { name: "Which style where: Cup of coffee" });
  const reopen = async () => {
    await page.getByRole("button", { name: "Open" }).click();
    await dialog.waitFor();
    await page.waitForTimeout(100); // for the masks to be read
  };
  await reopen();
  const status = dialog.getByRole("status");
  return {
    ...opened,
    dialog,
    reopen,
    status,
    stage: dialog.getByRole("application"),
    said: (text) => status.filter({ hasText: text }).waitFor({ timeout: 5000 }),
    shares: () => dialog.locator(".mask-styles small").allInnerTexts(),
    /** The masks of the result, each a PNG or null, or "closed". */
    async result() {
      await page.waitForFunction(() => window.result !== "open");
      const result = await page.evaluate(async () => {
        if (window.result === "closed") return "closed";
        return Promise.all(window.result.map(async (mask) => mask && [...new Uint8Array(await mask.arrayBuffer())]));
      });
      return result === "closed" ? result : result.map((bytes) => bytes && PNG.sync.read(Buffer.from(bytes)));
    },
  };
}

/** Luminance of a mask at a place in percent of its width and height. */
const at = (png, x, y) =>
  png.data[4 * (Math.floor((y * png.height) / 100) * png.width + Math.floor((x * png.width) / 100))];
/** Drags between two places in percent of the stage's width and height. */
async function drag(page, stage, [x0, y0], [x1, y1]) {
  const box = await stage.boundingBox();
  await page.mouse.move(box.x + (x0 * box.width) / 100, box.y + (y0 * box.height) / 100);
  await page.mouse.down();
  await page.mouse.move(box.x + (x1 * box.width) / 100, box.y + (y1 * box.height) / 100, { steps: 6 });
  await page.mouse.up();
}

test("two styles are painted by mouse, one with a feather, and come out as PNGs", async () => {
  const { page, dialog, stage, shares, said, result, faults, context } = await open();
  assert.deepEqual(await shares(), ["everywhere", "everywhere"]);
  await drag(page, stage, [20, 50], [40, 50]);
  await said(/^Style 1: on \d+ % of the photo\.$/);
  await dialog.getByRole("radio", { name: /Cottages/ }).check();
  await drag(page, stage, [70, 20], [70, 80]);
  await dialog.getByLabel("Feather").fill("2");
  await dialog.getByRole("radio", { name: "Eraser" }).check();
  await drag(page, stage, [70, 80], [70, 75]);
  assert.match((await shares()).join(), /^on \d+ % of the photo,on \d+ % of the photo$/);
  await dialog.getByRole("button", { name: "Done" }).click();
  const [first, second] = await result();
  assert.deepEqual([first.width, first.height, first.colorType], [512, 341, 0]);
  assert.deepEqual([at(first, 30, 50), at(first, 30, 85), at(first, 70, 50)], [255, 0, 0]);
  assert.ok(at(second, 70, 40) > 220 && at(second, 70, 79) < 60 && at(second, 30, 50) === 0);
  const greys = new Set(second.data.filter((_, i) => i % 4 === 0));
  assert.ok(greys.size > 100, "a feathered edge has many greys");
  assert.ok(await page.getByRole("button", { name: "Open" }).evaluate((it) => it === document.activeElement));
  assert.deepEqual(faults, []);
  await context.close();
});

test("earlier masks can be painted on, and unchanged ones are the same again", async () => {
  const { page, dialog, stage, shares, reopen, result, context } = await open();
  await drag(page, stage, [20, 50], [40, 50]);
  await dialog.getByLabel("Feather").fill("3");
  await dialog.getByRole("button", { name: "Done" }).click();
  const [before] = await result();
  await reopen();
  assert.equal(await dialog.getByLabel("Feather").inputValue(), "3");
  await dialog.getByRole("button", { name: "Done" }).click();
  await result();
  assert.deepEqual(await page.evaluate(() => window.same), [true, true]);
  await reopen();
  await drag(page, stage, [20, 80], [40, 80]);
  await dialog.getByRole("button", { name: "Done" }).click();
  const [more] = await result();
  assert.deepEqual(await page.evaluate(() => window.same), [false, true]);
  assert.ok(at(more, 30, 80) > 200);
  assert.equal(at(more, 30, 38), at(before, 30, 38), "the old edge is not feathered twice");

  // A mask of another size, made elsewhere, and a file that is no picture.
  const foreign = PNG.sync.write(
    Object.assign(new PNG({ width: 2, height: 1 }), { data: Buffer.from([255, 255, 255, 255, 0, 0, 0, 255]) }),
  );
  await page.evaluate(
    (bytes) => {
      window.styles[0].mask = new Blob([new Uint8Array(bytes)], { type: "image/png" });
      window.styles[1].mask = new Blob(["no picture"]);
    },
    [...foreign],
  );
  await reopen();
  assert.match((await shares())[0], /^on 5[01] % of the photo$/);
  assert.match(await dialog.getByRole("alert").innerText(), /mask of style 2 could not be read/);
  await context.close();
});

test("by keyboard alone: painted, erased, undone, redone, and said", async () => {
  const { page, dialog, stage, status, said, shares, result, context } = await open();
  assert.ok(await stage.evaluate((it) => it === document.activeElement));
  await page.keyboard.press("ArrowLeft");
  assert.match(await status.innerText(), /^Brush at 4\d % from the left, 50 % from the top, inside the mask\.$/);
  await page.keyboard.press("]");
  assert.equal(await status.innerText(), "Brush 15 % of the photo.");
  await page.keyboard.press("2");
  await page.keyboard.press("Space");
  await said(/^Style 2: on [1-9] % of the photo\.$/);
  await page.waitForTimeout(50);
  const dot = (await shares())[1];
  await page.keyboard.down("Space");
  for (let i = 0; i < 8; i++) await page.keyboard.press("ArrowRight");
  await page.keyboard.up("Space");
  await said(/^Style 2: on \d+ % of the photo\.$/);
  const painted = (await shares())[1];
  assert.notEqual(painted, dot);
  await page.keyboard.press("e");
  await page.waitForTimeout(100);
  assert.notEqual((await shares())[1], painted);
  await page.keyboard.press("Control+z");
  await said(/^Undone\./);
  await page.waitForTimeout(50);
  assert.equal((await shares())[1], painted);
  await page.keyboard.press("Control+z");
  await page.keyboard.press("Control+z");
  await page.waitForTimeout(50);
  assert.deepEqual(await shares(), ["everywhere", "everywhere"]);
  await page.keyboard.press("Control+y");
  await page.keyboard.press("Control+Shift+z");
  await page.waitForTimeout(50);
  assert.equal((await shares())[1], painted);
  await dialog.getByRole("button", { name: "Done" }).press("Enter");
  const [first, second] = await result();
  assert.equal(first, null, "a style that nothing was painted for is everywhere");
  assert.equal(at(second, 50, 50), 255);
  await context.close();
});

test("everywhere, nowhere, invert; Escape changes nothing", async () => {
  const { page, dialog, shares, reopen, result, context } = await open();
  const press = async (name) => {
    await dialog.getByRole("button", { name }).click();
    await page.waitForTimeout(50);
    return (await shares())[0];
  };
  assert.equal(await press("Nowhere"), "nowhere");
  assert.equal(await press("Invert"), "everywhere");
  assert.equal(await press("Undo"), "nowhere");
  assert.equal(await press("Everywhere"), "everywhere");
  await dialog.getByRole("button", { name: "Done" }).click();
  assert.deepEqual(await result(), [null, null]);
  await reopen();
  await press("Nowhere");
  await page.keyboard.press("Escape");
  assert.equal(await result(), "closed");
  assert.deepEqual(await page.evaluate(() => window.styles.map(({ mask }) => mask)), [null, null]);
  await context.close();
});

test("a finger paints at phone width; a frame of a feathered stroke is quick", async (t) => {
  const phone = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true };
  const { page, dialog, stage, shares, context } = await open(phone);
  await dialog.getByLabel("Feather").fill("5");
  await stage.scrollIntoViewIfNeeded();
  const box = await stage.boundingBox();
  const touch = await context.newCDPSession(page);
  const send = (type, ...points) =>
    touch.send("Input.dispatchTouchEvent", {
      type,
      touchPoints: points.map(([x, y]) => ({ x: box.x + x, y: box.y + y })),
    });
  await send("touchStart", [40, 40]);
  for (let x = 60; x < 200; x += 20) await send("touchMove", [x, 60]);
  await send("touchEnd");
  await page.waitForTimeout(100);
  assert.match((await shares())[0], /^on \d+ % of the photo$/);
  const took = await page.evaluate(async () => {
    const { MaskLayer } = await import("../../www/pictures/mask-layer.js");
    const layer = new MaskLayer(512, 512);
    layer.feather = 25;
    const began = performance.now();
    for (let i = 0; i < 10; i++) {
      layer.stroke({ x: 9 * i, y: 30 }, { x: 9 * i + 9, y: 99 }, 30, false);
      layer.feathered.slice();
    }
    return (performance.now() - began) / 10;
  });
  t.diagnostic(`a stroke at 512 × 512 and its feather: ${took.toFixed(1)} ms`);
  assert.ok(took < 200);
  await context.close();
});

test("how it looks", async () => {
  const { page, dialog, stage, context } = await open();
  await drag(page, stage, [15, 50], [40, 30]);
  await dialog.getByRole("radio", { name: /Cottages/ }).check();
  await dialog.getByLabel("Size").fill("25");
  await dialog.getByLabel("Feather").fill("3");
  await drag(page, stage, [45, 75], [80, 60]);
  await look(page, "mask");
  await context.close();
});
