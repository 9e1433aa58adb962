import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { look, startTools } from "./tools.js";

let tools;
before(async () => {
  tools = await startTools();
});
after(() => tools?.close());

/** Opens the dialog on the 600 × 400 sample from a button, as the page does. */
async function open(choices = {}, options = {}) {
  const opened = await tools.open("pictures/crop-box.js", options);
  const { page } = opened;
  await page.evaluate(
    ([url, choices]) => {
      const crop = new window.tool.CropDialog(document.getElementById("dialog"));
      const picture = { url: `${url}www/pictures/photo-coffee.jpg`, width: 600, height: 400, name: "Cup of coffee" };
      document.getElementById("opener").addEventListener("click", async () => {
        window.result = "open";
        const answer = await crop.edit(picture, { aspect: null, crop: null, ...choices });
        window.result = answer ?? String(answer);
      });
    },
    [tools.url, choices],
  );
  await page.getByRole("button", { name: "Open" }).click();
  const dialog = page.getByRole("dialog", { name: "Crop Cup of coffee" });
  await dialog.waitFor();
  return {
    ...opened,
    dialog,
    box: dialog.getByRole("group", { name: "Crop box" }),
    done: () => dialog.getByRole("button", { name: "Done" }).click(),
    isOpen: () => page.evaluate(() => window.result === "open"),
    async result() {
      await page.waitForFunction(() => window.result !== "open");
      return page.evaluate(() => window.result);
    },
    fields: () => dialog.getByRole("spinbutton").evaluateAll((inputs) => inputs.map(({ value }) => Number(value))),
  };
}

test("the box and its handles are dragged, and the numbers follow", async () => {
  const { page, box, fields, done, result, faults, context } = await open({ aspect: 1 });
  assert.deepEqual(await fields(), [100, 0, 400, 400]);
  const stage = await page.locator(".crop-stage").boundingBox();
  const scale = stage.width / 600;
  const drag = async (x, y, dx, dy) => {
    await page.mouse.move(stage.x + x * scale, stage.y + y * scale);
    await page.mouse.down();
    await page.mouse.move(stage.x + (x + dx) * scale, stage.y + (y + dy) * scale, { steps: 5 });
    await page.mouse.up();
  };
  await drag(500, 400, -100, -100); // the lower right corner
  assert.deepEqual(await fields(), [100, 0, 300, 300]);
  await drag(250, 150, 400, 30); // the box, further than it can go
  assert.deepEqual(await fields(), [300, 30, 300, 300]);
  await page.getByRole("checkbox", { name: "Lock the shape, 1 : 1" }).uncheck();
  await drag(300, 180, 60, 0); // the left side
  assert.deepEqual(await fields(), [360, 30, 240, 300]);
  const drawn = await box.boundingBox();
  assert.ok(Math.abs(drawn.x - (stage.x + 360 * scale)) < 1.5 && Math.abs(drawn.width - 240 * scale) < 1.5);
  await done();
  assert.deepEqual(await result(), { x: 360, y: 30, width: 240, height: 300 });
  assert.deepEqual(faults, []);
  await context.close();
});

test("by keyboard alone: moved, resized, typed, and the focus goes back", async () => {
  const { page, dialog, box, fields, isOpen, result, context } = await open({
    crop: { x: 100, y: 50, width: 200, height: 100 },
  });
  assert.ok(await box.evaluate((box) => box === document.activeElement));
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Alt+ArrowDown");
  assert.deepEqual(await fields(), [112, 51, 200, 100]);
  await page.keyboard.press("Shift+ArrowRight");
  await page.keyboard.press("Alt+Shift+ArrowUp");
  assert.deepEqual(await fields(), [112, 51, 212, 99]);
  assert.equal(await dialog.getByRole("status").innerText(), "212 × 99 pixels, from 112, 51.");
  await page.keyboard.press("Tab");
  await page.keyboard.type("40");
  await page.keyboard.press("Enter");
  assert.deepEqual(await fields(), [40, 51, 212, 99]);
  assert.ok(await isOpen(), "Enter in a field does not close the dialog");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await page.keyboard.type("9999");
  await page.keyboard.press("Tab");
  assert.deepEqual(await fields(), [0, 51, 600, 99]);
  await dialog.getByRole("button", { name: "Done" }).press("Enter");
  assert.deepEqual(await result(), { x: 0, y: 51, width: 600, height: 99 });
  assert.ok(await page.getByRole("button", { name: "Open" }).evaluate((it) => it === document.activeElement));
  await context.close();
});

test("whole, middle square, no crop, Escape and Cancel", async () => {
  const { page, dialog, fields, result, context } = await open({
    aspect: 1,
    crop: { x: 9, y: 9, width: 99, height: 99 },
  });
  await dialog.getByRole("button", { name: "The whole picture" }).click();
  assert.deepEqual(await fields(), [0, 0, 600, 400]);
  assert.ok(!(await dialog.getByRole("checkbox").isChecked()), "the whole picture is no square");
  await dialog.getByRole("button", { name: "The middle square" }).click();
  assert.deepEqual(await fields(), [100, 0, 400, 400]);
  await page.keyboard.press("Escape");
  assert.equal(await result(), "undefined");

  const again = page.getByRole("button", { name: "Open" });
  await again.click();
  assert.deepEqual(await fields(), [9, 9, 99, 99], "what was cancelled is forgotten");
  await dialog.getByRole("button", { name: "Cancel" }).click();
  assert.equal(await result(), "undefined");
  await again.click();
  await dialog.getByRole("button", { name: "No crop" }).click();
  assert.equal(await result(), "null");
  await context.close();
});

test("a finger drags a corner at phone width", async () => {
  const phone = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true };
  const { page, fields, context } = await open({ aspect: 1 }, phone);
  const handle = await page.locator("[data-handle=se]").boundingBox();
  assert.ok(handle.width >= 44 && handle.height >= 44);
  const touch = await context.newCDPSession(page);
  const [x, y] = [handle.x + 22, handle.y + 22];
  const send = (type, ...points) =>
    touch.send("Input.dispatchTouchEvent", { type, touchPoints: points.map(([x, y]) => ({ x, y })) });
  await send("touchStart", [x, y]);
  await send("touchMove", [x - 30, y - 30]);
  await send("touchMove", [x - 50, y - 50]);
  await send("touchEnd");
  const [left, top, width, height] = await fields();
  assert.ok(left === 100 && top === 0 && width === height && width < 340, `${[left, top, width, height]}`);
  await context.close();
});

test("how it looks", async () => {
  const { page, context } = await open({ crop: { x: 90, y: 40, width: 330, height: 300 } });
  await look(page, "crop");
  await context.close();
});
