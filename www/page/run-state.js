// What a run is at, as one value, and how each thing that happens changes it. Bar, queue and title show what it says; nothing
// else knows whether a run is paused, or what is offered after a failure.

/**
 * @typedef {import("../engine/recovery.js").Change} Change
 * @typedef {import("../engine/runner.js").State} Progress
 * @typedef {import("../styleid.js").Phase} Phase
 * @typedef {{ text: string, tone?: "problem" }} Word
 * @typedef {import("../engine/queue.js").Item<import("../engine/runner.js").Job, import("../results/history.js").Entry>} Item
 * @typedef {object} RunState
 * @property {"idle" | "running" | "cancelling"} stage
 * @property {boolean} isPaused
 * @property {boolean} canPause only painting can be paused, not what comes before it
 * @property {string} place in a queue, such as "2 of 4"; empty for a single run
 * @property {Progress | null} progress null before anything is known
 * @property {Word} word the last one, for the live region
 * @property {string[]} notices what is unusual but no failure, each once
 * @property {{ item: Item, changes: Change[] } | null} offers what may be tried with the job that failed
 */

/** How many notices are kept; the oldest go first. */
const NOTICES = 4;

/** @type {Change[]} */
const NOTHING = [];

/** Nothing runs, and nothing has. @type {RunState} */
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

/** The person said go. @returns {RunState} */
export const began = () => ({ ...IDLE, stage: "running", word: { text: "Starting." } });

/** What is about a job's start, whichever and however often. @type {Pick<RunState, "isPaused" | "canPause" | "progress">} */
const AT_START = { isPaused: false, canPause: false, progress: null };

/** One job's turn. @param {RunState} state @param {string} place @returns {RunState} */
export const jobBegan = (state, place) => ({ ...state, ...AT_START, place });

/** The job begins anew, with a worker that knows of no pause. @param {RunState} state @returns {RunState} */
export const retried = (state) => ({ ...state, ...AT_START });

/** @param {RunState} state @param {Progress} progress @param {Phase} phase @returns {RunState} */
export function progressed(state, progress, phase) {
  // The last reports of what is held, or is being ended, come late.
  if (state.stage !== "running" || state.isPaused) return state;
  return { ...state, progress, canPause: phase !== "load", word: { text: `${progress.label}.` } };
}

/** @param {RunState} state @returns {RunState} */
export const paused = (state) =>
  state.stage === "running" && state.canPause ? { ...state, isPaused: true, word: { text: "Paused." } } : state;

/** @param {RunState} state @returns {RunState} */
export const resumed = (state) => (state.isPaused ? { ...state, isPaused: false, word: { text: "Going on." } } : state);

/** The person said stop. @param {RunState} state @returns {RunState} */
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

/** What there is to be pressed after a failure: nothing while the rest of a queue runs. @param {RunState} state @returns {Change[]} */
export const offersOf = (state) => (isRunning(state) ? NOTHING : (state.offers?.changes ?? NOTHING));

/** What the tab's title tells. @param {RunState} state @returns {{ fraction: number | null, label: string }} an empty label where nothing runs */
export function titleOf(state) {
  if (!isRunning(state)) return { fraction: null, label: "" };
  if (state.isPaused) return { fraction: null, label: "Paused" };
  return { fraction: state.progress?.fraction ?? null, label: state.progress?.label ?? "Starting" };
}
