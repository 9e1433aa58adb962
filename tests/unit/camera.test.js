import assert from "node:assert/strict";
import { test } from "node:test";
import { cameraSentence } from "../../www/pictures/camera.js";

test("each failure of a camera has its sentence", () => {
  const sentence = (name) => cameraSentence(new DOMException("words of the browser", name));
  assert.match(sentence("NotAllowedError"), /^The camera was not allowed: allow it/);
  assert.equal(sentence("SecurityError"), sentence("NotAllowedError"));
  assert.match(sentence("NotFoundError"), /^No camera was found: connect one/);
  assert.match(sentence("NotReadableError"), /another program uses it/);
  assert.equal(sentence("AbortError"), sentence("NotReadableError"));
  assert.match(sentence("OverconstrainedError"), /the other one\.$/);
  assert.match(sentence("StrangeError"), /^The camera could not be used \(StrangeError\): try again/);
  assert.match(cameraSentence("odd"), /\(odd\)/);
});
