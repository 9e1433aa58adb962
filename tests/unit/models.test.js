import assert from "node:assert/strict";
import { test } from "node:test";
import { selectModel } from "../../www/models.js";

const base = "https://example.org/styleid/?model=x";
const models = ["a", "b"].map((id) => ({
  id,
  name: `Model ${id}`,
  note: "",
  url: `https://example.org/styleid/${id}/`,
}));
const select = (wanted) => selectModel(models, wanted, base);

test("an id selects its model, nothing selects the first", () => {
  assert.equal(select("b").selected, models[1]);
  assert.equal(select(null).selected, models[0]);
});

test("an address is offered as one more model, its folder ending in a slash", () => {
  const { models: offered, selected, problem } = select("https://elsewhere.example/sd/v1");
  assert.equal(selected.url, "https://elsewhere.example/sd/v1/");
  assert.equal(offered.length, 3);
  assert.equal(problem, null);
  assert.equal(select("models/c/").selected.url, "https://example.org/styleid/models/c/");
});

test("what is neither gets a sentence, and the first model", () => {
  for (const wanted of ["nonesuch", "javascript:alert(1)", "file:///etc/passwd"]) {
    const { models: offered, selected, problem } = select(wanted);
    assert.equal(selected, models[0]);
    assert.equal(offered.length, 2);
    assert.ok(problem?.includes(wanted));
  }
});
