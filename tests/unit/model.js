// A model as the page's list has it, for tests.

/** @param {object} [changes] fields that differ from the defaults */
export const model = (changes) => ({
  id: "m",
  name: "Model",
  note: "",
  licence: "A licence",
  bytes: 2e9,
  prediction: null,
  weights: "q8",
  source: "o/r",
  place: "hub",
  ...changes,
});
