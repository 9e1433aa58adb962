// The pictures that come with the page, and what the page shows before there is a result.

/** @typedef {import("../pictures/picture-slot.js").Sample} Sample */

/** @type {Sample[]} */
export const PHOTOS = [
  { file: "pictures/photo-astronaut.jpg", title: "Astronaut" },
  { file: "pictures/photo-coffee.jpg", title: "Cup of coffee" },
  { file: "pictures/photo-bridge.jpg", title: "Bridge at night" },
];

/** @type {Sample[]} */
export const PAINTINGS = [
  { file: "pictures/style-hokusai-great-wave.jpg", title: "Hokusai, The Great Wave" },
  { file: "pictures/style-van-gogh-auvers.jpg", title: "Van Gogh, Cottages at Auvers" },
  { file: "pictures/style-renoir-girls-at-the-piano.jpg", title: "Renoir, Girls at the Piano" },
];

/** @type {import("../results/compare-view.js").Pair} */
export const EXAMPLE = {
  before: "pictures/example-photo.jpg",
  after: "pictures/example-result.jpg",
  width: 256,
  height: 256,
  beforeName: "A photo of a cat",
  afterName: "The cat, repainted in the style of Hokusai's Great Wave",
};
