// The state of one viewer. `element`, `props` and `watch` come from Gradio; all scripts stand in one function body, this
// one and trace.js before the senses, viewer.js last.
//
// A sense (picture.js, sound.js, text.js) is what differs between them: its texts, `show(media, trace)` for what goes on the
// stage, `draw()` for what depends on the token or place pointed at, and what a click, a key and a save do.

const part = (name) => element.querySelector(`[data-part="${name}"]`);
const viewer = part("viewer"), sentence = part("sentence");

const view = {
  complete: null, // the last payload with a trace; a problem returns to it
  weights: null,
  hovered: null, // token under the pointer, or null
  playing: null, // token that is heard now, or null
  pinned: null, // token chosen by click or key, or null
  place: null, // place under the pointer, or null
  head: "mean",
  smooth: true,
  strength: 1,
  // of a sound:
  seconds: 0, // its length
  nColumns: 0, // pixels along its time axis
  times: [], // [start, end] of every token
  drawn: null, // what the rows were drawn for
};

const senses = () => ({ picture, sound, text });
const sense = () => senses()[viewer.dataset.kind];
const trace = () => view.complete.trace;
const current = () => view.hovered ?? view.playing ?? view.pinned;
const hasMaps = () => view.weights.nHeads > 0;
const mapOf = (token) => tokenMap(view.weights, token, view.head);

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
  target.addEventListener("pointermove", (event) => {
    if (viewer.dataset.state !== "ready" || !hasMaps()) return;
    const place = placeOf(event);
    if (place !== view.place) change({ place });
  });
  target.addEventListener("pointerleave", (event) => {
    if (event.pointerType !== "touch") change({ place: null }); // a finger that lifts still wants to read
  });
}
