// The state of a run as one value, and its transitions. Bar, queue and title are rendered from it; it alone records
// whether a run is paused, and what is offered after a failure.

/**
 * @typedef {import("../engine/recovery.js").Change} Change
 * @typedef {import("../engine/runner.js").State} Progress
 * @typedef {import("../styleid.js").Phase} Phase
 * @typedef {{ text: string, tone?: "problem", isDeclined?: boolean }} Word `isDeclined`: the user declined to go on
 * @typedef {import("../engine/queue.js").Item<import("../engine/runner.js").Job, import("../results/history.js").Entry>} Item
 * @typedef {object} RunState
 * @property {"idle" | "running" | "cancelling"} stage
 * @property {boolean} isPaused
 * @property {boolean} canPause false until the model is loaded
 * @property {string} place in a queue, such as "2 of 4"; empty for a single run
 * @property {Progress | null} progress null before anything is known
 * @property {Word} word the last one, for the live region
 * @property {string[]} notices unusual events that are no failures, without duplicates
 * @property {{ item: Item, changes: Change[] } | null} offers changes to try with the failed job
 */

/** How many notices are kept; the oldest are dropped. */
const NOTICES = 4;

/** @type {Change[]} */
const NOTHING = [];

/** The initial state. @type {RunState} */
export const IDLE = {
  stage: "idle",
  isPaused: false,
  canPause: false,
  place: "",
  progress: null,
  word: { text: "" },
  notices: [],
  offers: null,
};

/** @param {RunState} state */
export const isRunning = ({ stage }) => stage !== "idle";

/** The user started a run. @returns {RunState} */
export const began = () => ({ ...IDLE, stage: "running", word: { text: "Starting." } });

/** Fields reset whenever a job starts or ends. @type {Pick<RunState, "isPaused" | "canPause" | "progress">} */
const AT_START = { isPaused: false, canPause: false, progress: null };

/** The next job starts. @param {RunState} state @param {string} place @returns {RunState} */
export const jobBegan = (state, place) => ({ ...state, ...AT_START, place });

/** The job starts over, in a worker that is not paused. @param {RunState} state @returns {RunState} */
export const retried = (state) => ({ ...state, ...AT_START });

/** @param {RunState} state @param {Progress} progress @param {Phase} phase @returns {RunState} */
export function progressed(state, progress, phase) {
  // Late events of a run that has been paused or cancelled.
  if (state.stage !== "running" || state.isPaused) return state;
  return { ...state, progress, canPause: phase !== "load", word: { text: `${progress.label}.` } };
}

/** @param {RunState} state @returns {RunState} */
export const paused = (state) =>
  state.stage === "running" && state.canPause ? { ...state, isPaused: true, word: { text: "Paused." } } : state;

/** @param {RunState} state @returns {RunState} */
export const resumed = (state) => (state.isPaused ? { ...state, isPaused: false, word: { text: "Going on." } } : state);

/** The user cancelled the run. @param {RunState} state @returns {RunState} */
export const cancelling = (state) =>
  isRunning(state)
    ? { ...state, stage: "cancelling", isPaused: false, canPause: false, word: { text: "Cancelling." } }
    : state;

/** @param {RunState} state @param {string} text @param {"problem"} [tone] @returns {RunState} */
export const said = (state, text, tone) => ({ ...state, word: { text, tone } });

/** @param {RunState} state @param {string} sentence @returns {RunState} */
export const noticed = (state, sentence) =>
  state.notices.includes(sentence) ? state : { ...state, notices: [...state.notices, sentence].slice(-NOTICES) };

/** A job has failed. @param {RunState} state @param {Item} item @param {Change[]} changes @returns {RunState} */
export const failed = (state, item, changes) => (changes.length > 0 ? { ...state, offers: { item, changes } } : state);

/** @param {RunState} state @param {Word} word @returns {RunState} */
export const ended = (state, word) => ({ ...state, ...AT_START, stage: "idle", place: "", word });

/**
 * The changes offered after a failure; none while the rest of a queue runs.
 * @param {RunState} state @returns {Change[]}
 */
export const offersOf = (state) => (isRunning(state) ? NOTHING : (state.offers?.changes ?? NOTHING));

/**
 * The tab's title.
 * @param {RunState} state @returns {{ fraction: number | null, label: string }} an empty label if idle
 */
export function titleOf(state) {
  if (!isRunning(state)) return { fraction: null, label: "" };
  if (state.isPaused) return { fraction: null, label: "Paused" };
  return { fraction: state.progress?.fraction ?? null, label: state.progress?.label ?? "Starting" };
}
