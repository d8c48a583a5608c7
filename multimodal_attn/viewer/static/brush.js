// Hide a part of the input: drag over cells or moments, or click words, and the sentence is written again without them.

let brushed = null; // places under the brush while it is down, or null

const hiddenPlaces = () => trace().origin.options?.hidden ?? [];
const isGone = (place) => (brushed ?? hiddenPlaces()).includes(place);

function setBrushing(on) {
  viewer.classList.toggle("brushing", on);
  part("brush").setAttribute("aria-pressed", on);
  if (on) say(sense().brush);
}

// What can be pointed at can be brushed; `state.js` calls this for each such part of the stage.
function brushOn(target, placeOf) {
  target.addEventListener("pointerdown", (event) => {
    if (!viewer.classList.contains("brushing") || view.asking) return;
    event.preventDefault();
    brushed = [...hiddenPlaces()];
    brush(placeOf(event));
  });
  target.addEventListener("pointermove", (event) => brushed && brush(placeOf(event)));
  target.addEventListener("click", (event) => viewer.classList.contains("brushing") && event.stopImmediatePropagation(), { capture: true });
}

function brush(place) {
  if (place === null || brushed.includes(place)) return;
  brushed = [...new Set([...brushed, ...sense().partOf(place)])];
  draw();
}

function hideBrushed() {
  if (!brushed) return;
  const places = brushed, n = places.length - hiddenPlaces().length;
  brushed = null;
  if (n) hide(places, sense().told(places.filter((place) => !hiddenPlaces().includes(place))));
  else draw();
}

function hide(places, told) {
  again(`Without ${told}:`, { begin: [], hidden: places.sort((a, b) => a - b) });
}

// Of a pinned word, by keyboard too: the part that it looks at, or needs, most.
function hideMost() {
  const [...places] = sense().partOf(indexOfMost(mapOf(view.pinned)));
  hide([...new Set([...hiddenPlaces(), ...places])], sense().told(places));
}

part("brush").addEventListener("click", () => setBrushing(!viewer.classList.contains("brushing")));
part("hide-most").addEventListener("click", hideMost);
addEventListener("pointerup", hideBrushed);
viewer.addEventListener("keydown", ({ key }) => key === "Escape" && setBrushing(false));
