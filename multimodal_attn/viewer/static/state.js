// The state of one viewer. `element`, `props` and `watch` come from Gradio; all scripts stand in one function body, this
// one before the senses, viewer.js last.

const part = (name) => element.querySelector(`[data-part="${name}"]`);
const viewer = part("viewer"), sentence = part("sentence");

const view = {
  complete: null, // the last payload with a trace; a problem returns to it
  weights: null,
  needed: null, // what each token needed, see needed.js
  asking: null, // what was asked of the model last, while it answers
  layer: "looked", // or "needed": which map is drawn
  scale: "each", // or "all": whether a word's map is drawn up to its own largest weight
  hovered: null, // token under the pointer, or null
  playing: null, // token that is heard now, or null
  pinned: null, // token chosen by click or key, or null
  place: null, // place under the pointer, or null
  head: "mean",
  inside: "off", // self-attention of a place: off, the mean of all maps, or the number of one
  looks: [], // the maps of self-attention, of each piece of the input
  smooth: true,
  strength: 1,
};

// A sense is what differs between them. The script of each adds its own: its texts, `show(media, trace)` for what goes on
// the stage, `draw()` for what depends on the token or place pointed at, `figure()` for what is saved as PNG; further
//   names     what one token, many, and the whole of an input are called
//   unit      (geometry) -> what the legend's share is of
//   wide      (n) -> in words that so many places share a token's attention
//   crowd     (place) -> the heading of the tokens that look there most
// and where it is otherwise than here:
const plain = {
  opening: "An example. Each word lights where the model looked as it wrote it, which need not be why.",
  spot: () => "", // (token) -> where it looks, said aloud
  at: (place) => `place ${place + 1}`, // what a place is called
  where: (place) => sense().at(place, trace().geometry), // the same of all that is hidden with it; (place, map)
  parts: "places", // what is hidden one after another
  hiding: "Hiding one place after another",
  facts: () => [], // (token) -> lines beside it
  pick: (token) => (token === view.pinned ? null : token), // a click on it; a second one lets go
  keys: {}, // what further keys do
  brush: "Drag over what is to be hidden",
  partOf: (place) => [place], // what is hidden with it
  told: (places) => `${places.length} ${sense().parts}`, // what was hidden, in words
  smooths: false, // its maps can be drawn smooth
  isWhole: ({ file }) => /^data:(image|audio)\//.test(file.url), // media of a saved page, which must not fetch anything
};

const senses = {}; // by their kinds
const sense = () => senses[viewer.dataset.kind];
const trace = () => view.complete.trace;
const current = () => view.hovered ?? view.playing ?? view.pinned;
const hasMaps = () => view.weights.nHeads > 0;
const mapOf = (token) => (view.layer === "needed" ? neededMap(token) : tokenMap(view.weights, token, view.head));
const FALL = 0.1; // the least fall of a probability that is drawn in the warmest colour
const ownMost = (token) => (view.layer === "needed" ? Math.max(largest(mapOf(token)), FALL) : largest(mapOf(token)) || 1);

// What the warmest colour stands for on the map of a token.
function mostOf(token) {
  return view.scale === "each" ? ownMost(token) : trace().tokens.reduce((most, _, i) => Math.max(most, ownMost(i)), 0);
}

const isInside = () => view.inside !== "off";
const insideMap = (place) => placeMap(view.looks, place, view.weights.nPlaces, view.inside);
const shownMost = (map) => (isInside() ? largest(map) || 1 : mostOf(current()));
// What the stage shows: of the token that is meant, or of the place while self-attention is looked at.
function shownMap() {
  if (isInside()) return view.place === null ? null : insideMap(view.place);
  return current() === null || !hasMaps() ? null : mapOf(current());
}

function node(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text; // never markup: tokens and names are other people's text
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function change(values) {
  Object.assign(view, values);
  draw();
}

// Pointing at the stage shades the tokens by their weight there.
function pointAt(target, placeOf) {
  brushOn(target, placeOf);
  target.addEventListener("pointermove", (event) => {
    if (viewer.dataset.state !== "ready" || !hasMaps()) return;
    const place = placeOf(event);
    if (place !== view.place) change({ place });
  });
  target.addEventListener("pointerleave", (event) => {
    if (event.pointerType !== "touch") change({ place: null }); // a finger that lifts still wants to read
  });
}
