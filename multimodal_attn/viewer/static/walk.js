// The example that the page opens with: the light walks from word to word, until somebody does something.

const PACE = 900; // milliseconds a word
let walking = 0;

function walk() {
  stopWalking();
  if (matchMedia("(prefers-reduced-motion: reduce)").matches || !hasMaps()) return;
  let token = -1;
  walking = setInterval(() => {
    if (!element.isConnected) return stopWalking();
    if (!viewer.offsetParent || document.hidden) return; // in a tab that nobody sees
    token = (token + 1) % (trace().tokens.length + 1); // once around, then a moment of rest
    change({ playing: token < trace().tokens.length ? token : null });
  }, PACE);
}

function stopWalking() {
  if (!walking) return;
  clearInterval(walking);
  walking = 0;
  if (viewer.dataset.state === "ready") change({ playing: null });
}

for (const act of ["pointerdown", "pointermove", "keydown", "focusin"]) viewer.addEventListener(act, stopWalking);

// What is shown is no answer to a file of the person's.
function showOpening({ opening }) {
  part("opening").textContent = opening ? sense().opening : "";
  part("opening").hidden = !opening;
}
