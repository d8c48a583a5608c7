// Plays the sound: a cursor follows it, and the token that is heard lights up.

const audio = part("audio");
let stopAt = null; // seconds; the end of a slice, or null to play on

function toggle() {
  if (!audio.paused) return audio.pause();
  stopAt = null;
  start();
}

function start() {
  audio.play().catch((error) => error.name !== "AbortError" && showProblem("This browser could not play the sound."));
}

// From the start of the token's word to its end.
function hear(token) {
  const slice = sliceOf(token);
  if (!slice) return;
  audio.currentTime = slice[0];
  stopAt = slice[1];
  start();
}

// The stretch of time that a token is heard in: its word's.
function sliceOf(token) {
  const word = wordOf(trace(), token);
  return word ? [word.start, word.end] : heard.times[token];
}

function seek(second) {
  stopAt = null;
  audio.currentTime = Math.min(Math.max(second, 0), heard.seconds);
  moveCursor();
}

function moveCursor() {
  const now = audio.currentTime;
  part("cursor").hidden = !now && audio.paused;
  part("cursor").style.left = `${Math.min(100 * (now / heard.seconds), 100)}%`;
  part("clock").textContent = `${clock(now)} / ${clock(heard.seconds)}\u2009s`;
}

function follow() {
  if (!element.isConnected) return audio.pause(); // the page has put another viewer in this one's place
  if (stopAt !== null && audio.currentTime >= stopAt) audio.pause();
  moveCursor();
  if (audio.paused) return;
  if (heard.seconds > 15) reveal(audio.currentTime);
  const playing = view.complete ? tokenAtTime(heard.times, audio.currentTime) : null;
  if (playing !== view.playing) change({ playing });
  requestAnimationFrame(follow);
}

function showPlaying() {
  part("play").setAttribute("aria-label", audio.paused ? "Play" : "Pause");
  viewer.classList.toggle("playing", !audio.paused);
}

audio.addEventListener("play", () => {
  Object.assign(view, { hovered: null }); // else the token under a resting pointer would hide those that are heard
  showPlaying();
  follow();
});
audio.addEventListener("pause", () => {
  showPlaying();
  change({ playing: null });
});
audio.addEventListener("seeked", moveCursor);
part("play").addEventListener("click", toggle);
