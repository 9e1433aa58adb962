// The camera dialog with Chromium's fake camera, which shows a moving circle and gives permission without a question.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { look, startTools } from "./tools.js";

let tools;
before(async () => {
  tools = await startTools(["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]);
});
after(() => tools?.close());

/** Opens the dialog after `script` has run in the page. `window.tracks` keeps every track that was ever handed out. */
async function open(script, options = {}) {
  const opened = await tools.open("pictures/camera.js", options);
  const { page } = opened;
  await page.evaluate(() => {
    window.tracks = [];
    const devices = navigator.mediaDevices;
    const original = devices.getUserMedia.bind(devices);
    devices.getUserMedia = async (wishes) => {
      window.wishes = wishes;
      const stream = await original(wishes);
      window.tracks.push(...stream.getTracks());
      return stream;
    };
  });
  if (script) await page.evaluate(script);
  await page.evaluate(() => {
    const camera = new window.tool.CameraDialog(document.getElementById("dialog"));
    document.getElementById("opener").addEventListener("click", async () => {
      window.result = "open";
      window.result = (await camera.take()) ?? "closed";
    });
  });
  await page.getByRole("button", { name: "Open" }).click();
  const dialog = page.getByRole("dialog", { name: "Take a photo" });
  await dialog.waitFor();
  return {
    ...opened,
    dialog,
    button: (name) => dialog.getByRole("button", { name }),
    live: () => page.evaluate(() => window.tracks.filter(({ readyState }) => readyState === "live").length),
    async result() {
      await page.waitForFunction(() => window.result !== "open");
      return page.evaluate(async () => {
        if (window.result === "closed") return "closed";
        const { width, height } = await createImageBitmap(window.result);
        return { type: window.result.type, size: window.result.size, width, height };
      });
    },
  };
}

test("take, retake, use: a JPEG as large as the camera's picture, and the camera is off", async () => {
  const { page, button, live, result, dialog, faults, context } = await open();
  await button("Take the photo").waitFor();
  assert.equal(await live(), 1);
  assert.ok(await button("Take the photo").evaluate((it) => it === document.activeElement));
  await page.keyboard.press("Enter");
  await dialog.getByRole("img", { name: "The photo just taken" }).waitFor();
  assert.equal(await live(), 0, "off while the photo is looked at");
  await button("Retake").click();
  await button("Take the photo").click();
  await button("Use this photo").waitFor();
  await page.keyboard.press("Enter");
  const photo = await result();
  assert.equal(photo.type, "image/jpeg");
  assert.ok(photo.width >= 640 && photo.height >= 360 && photo.size > 3000, JSON.stringify(photo));
  assert.equal(await live(), 0);
  assert.ok(await page.getByRole("button", { name: "Open" }).evaluate((it) => it === document.activeElement));
  assert.deepEqual(faults, []);
  await context.close();
});

test("Escape and Cancel give nothing and switch it off, even while it is starting", async () => {
  const { page, button, live, result, context } = await open();
  await button("Take the photo").waitFor();
  await page.keyboard.press("Escape");
  assert.equal(await result(), "closed");
  assert.equal(await live(), 0);

  await page.getByRole("button", { name: "Open" }).click();
  await button("Take the photo").click();
  await button("Use this photo").waitFor();
  await button("Cancel").click();
  assert.equal(await result(), "closed", "a photo that was taken but not used");

  await page.evaluate(() => {
    const original = navigator.mediaDevices.getUserMedia;
    navigator.mediaDevices.getUserMedia = async (wishes) => {
      const stream = await original(wishes);
      await new Promise((resolve) => (window.letStart = resolve));
      return stream;
    };
  });
  await page.getByRole("button", { name: "Open" }).click();
  await page.waitForFunction(() => window.letStart);
  await button("Cancel").click();
  assert.equal(await result(), "closed");
  assert.equal(await live(), 1);
  await page.evaluate(() => window.letStart());
  await page.waitForFunction(() => window.tracks.every(({ readyState }) => readyState === "ended"));
  await context.close();
});

test("the other camera: by where it looks, or the next in the list where nobody says", async () => {
  const { page, button, live, context } = await open(() => {
    const camera = (deviceId) => ({ kind: "videoinput", deviceId, groupId: "x", label: "x" });
    navigator.mediaDevices.enumerateDevices = async () => [camera("a"), camera("b")];
    MediaStreamTrack.prototype.getSettings = () => window.settings ?? { facingMode: "environment", deviceId: "a" };
  });
  const other = async (condition) => {
    await button("Other camera").click();
    await page.waitForFunction(condition);
    await button("Take the photo").waitFor();
    assert.equal(await live(), 1, "only one camera is on");
  };
  await button("Other camera").waitFor();
  assert.equal(await page.evaluate(() => window.wishes.video.facingMode.ideal), "environment");
  await other(() => window.wishes.video.facingMode?.ideal === "user");
  await page.evaluate(() => (window.settings = { deviceId: "a" }));
  await other(() => window.wishes.video.deviceId?.ideal === "b");
  await page.evaluate(() => (window.settings = { deviceId: "b" }));
  await other(() => window.wishes.video.deviceId?.ideal === "a");
  await context.close();
});

test("no camera, a refusal, one in use, one that is pulled out: a sentence each", async () => {
  const { page, dialog, button, live, result, context } = await open(() => {
    navigator.mediaDevices.getUserMedia = async () => {
      throw new DOMException("no", window.failure ?? "NotFoundError");
    };
  });
  const alert = dialog.getByRole("alert");
  await alert.filter({ hasText: "No camera was found" }).waitFor();
  for (const [failure, words] of [
    ["NotAllowedError", "was not allowed"],
    ["NotReadableError", "another program uses it"],
  ]) {
    await page.evaluate((failure) => (window.failure = failure), failure);
    await button("Try again").click();
    await alert.filter({ hasText: words }).waitFor();
    assert.ok(await button("Take the photo").isHidden());
  }
  await page.keyboard.press("Escape");
  assert.equal(await result(), "closed");
  await context.close();

  const second = await open();
  await second.button("Take the photo").waitFor();
  await second.page.evaluate(() => window.tracks[0].dispatchEvent(new Event("ended")));
  await second.dialog.getByText("The camera was disconnected").waitFor();
  assert.equal(await second.live(), 0);
  await second.button("Try again").click();
  await second.button("Take the photo").waitFor();
  await second.context.close();
  assert.equal(await live().catch(() => 0), 0);
});

test("an insecure page and a browser without cameras say so at once", async () => {
  for (const [script, words] of [
    [() => Object.defineProperty(window, "isSecureContext", { value: false }), "needs a secure address"],
    [() => Object.defineProperty(navigator, "mediaDevices", { value: undefined }), "gives pages no camera"],
  ]) {
    const { dialog, button, context } = await open(script);
    await dialog.getByRole("alert").filter({ hasText: words }).waitFor();
    assert.ok(await button("Try again").isHidden());
    assert.ok(await button("Cancel").isVisible());
    await context.close();
  }
});

test("how it looks", async () => {
  const { page, button, context } = await open();
  await button("Take the photo").click();
  await button("Use this photo").waitFor();
  await look(page, "camera");
  await context.close();
});
