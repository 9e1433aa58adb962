// The sample pictures, and the example shown before there is a result.

/** @typedef {import("../pictures/picture-slot.js").Sample} Sample */

/** @param {string} name @param {string} title @returns {Sample} */
const sample = (name, title) => ({
  file: `pictures/${name}.jpg`,
  thumb: `pictures/thumbs/${name}.jpg`,
  title,
});

export const PHOTOS = [
  sample("photo-cat", "Cat"),
  sample("photo-astronaut", "Astronaut"),
  sample("photo-coffee", "Cup of coffee"),
  sample("photo-bridge", "Bridge at night"),
];

export const PAINTINGS = [
  sample("style-hokusai-great-wave", "Hokusai, The Great Wave"),
  sample("style-van-gogh-auvers", "Van Gogh, Cottages at Auvers"),
  sample("style-renoir-girls-at-the-piano", "Renoir, Girls at the Piano"),
];

/**
 * Selected initially; index.html shows the same.
 * @type {Record<"photo" | "painting", import("../pictures/picture-slot.js").Given>}
 */
export const GIVEN = {
  photo: { ...PHOTOS[0], shown: PHOTOS[0].file, width: 451, height: 300 },
  painting: { ...PAINTINGS[0], shown: "pictures/style-hokusai-great-wave-400.jpg", width: 640, height: 433 },
};

/** Their result with a look. @param {string} look @returns {import("../results/compare-view.js").Pair} */
export const exampleOf = (look) => ({
  before: "pictures/example-photo.jpg",
  after: `pictures/looks/${look}-large.jpg`,
  width: 256,
  height: 256,
  beforeName: "A photo of a cat",
  afterName: "The cat, repainted in the style of Hokusai's Great Wave",
});
