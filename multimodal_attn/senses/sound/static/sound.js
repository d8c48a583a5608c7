// The sense of hearing: a spectrogram on the stage, the weights of a token over and under it, and those of all tokens as
// rows below, on one axis of time.

const heard = {
  seconds: 0, // the length of the sound
  nColumns: 0, // pixels along its time axis
  times: [], // [start, end] of every token
  drawn: null, // what the rows were drawn for
};

senses.sound = {
  ...plain,
  invitation: "Drop a recording anywhere on this page, speak into the microphone, or take an example.",
  waiting: "Listening\u00a0…",
  opening: "An example. Each word lights where the model listened as it wrote it, which need not be why. Drop a recording of your own, or speak.",
  hint: "Press play, or point at a word to see where the model listened. A click plays the word.",
  sentence: "The transcript, token by token",
  nothing: "The model heard no words in this sound.",
  unit: ({ step }) => `of the token’s attention, per ${Math.round(1000 * step)}\u2009ms`,
  at: (place, geometry) => `${clock(middle(placeSpan(geometry, place)), 2)}\u2009s`,
  spot: (token) => (heard.times[token] ? `heard at ${clock(heard.times[token][0], 2)} seconds` : ""),
  facts: factsOf,
  names: { one: "a token", many: "tokens", whole: "the sound" },
  smooths: true,
  wide: (n) => `listens to about ${clock(n * trace().geometry.step, 2)}\u2009s`,
  hiding: "Silencing one moment after another",
  parts: "moments",
  brush: "Drag along the time that is to fall silent",
  partOf: momentAround,
  told: (places) => spanName([Math.min(...places), Math.max(...places) + 1], trace().geometry),
  where: (place, map) => spanName(partAround(map, place), trace().geometry),
  crowd: (place) => `Listened most at ${clock(middle(placeSpan(trace().geometry, place)), 2)}\u2009s`,
  show: showSound,
  draw() {
    drawVeil();
    drawCurve();
    drawMatrix();
    drawMarks();
  },
  pick(token) {
    hear(token);
    return token;
  },
  keys: { " ": toggle, Enter: () => current() !== null && hear(current()) },
  figure: drawSoundOnSheet,
};

const track = part("track"), rows = part("rows");
const middle = ([from, to]) => (from + to) / 2;

// ---- the sound itself

function showSound(media, shown) {
  if (audio.getAttribute("src") !== media.file.url) audio.src = media.file.url;
  const isLong = media.seconds > 15; // then the track is wider than its window, which scrolls
  track.style.minWidth = isLong ? `${3 * media.seconds}rem` : "";
  Object.assign(heard, { seconds: media.seconds, drawn: null, nColumns: Math.round(Math.min(Math.max(96 * media.seconds, 1200), 8000)) });
  paintPitches(media);
  const marks = ticksOf(media.seconds, isLong ? media.seconds : 9);
  part("axis").replaceChildren(...marks.map((second) => axisMark(second, media.seconds)));
  const nRows = shown && hasMaps() ? shown.tokens.length : 0;
  rows.style.height = `${Math.min(Math.max(nRows * 18, nRows && 54), 252)}px`;
  heard.times = shown ? tokenTimes(shown, view.weights) : [];
  part("labels").replaceChildren(...(nRows ? rowLabels(shown) : []));
  moveCursor();
}

function axisMark(second, all) {
  const mark = node("span", `${clock(second, second % 1 ? 1 : 0)}${second ? "" : "\u2009s"}`);
  mark.style.left = `${(100 * second) / all}%`;
  mark.classList.toggle("last", second > 0.97 * all);
  return mark;
}

function paintPitches({ seconds, spectrogram: { shape: [nPitches, nFrames], step, data } }) {
  const levels = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const upright = Array.from(levels, (_, i) => levels[(nPitches - 1 - Math.floor(i / nFrames)) * nFrames + (i % nFrames)]);
  const colours = Array.from({ length: 256 }, (_, level) => colourAt(LOUDNESS, level / 255));
  const pixels = pixelsToCanvas(pixelsOf(upright, (level) => colours[level]), nFrames, nPitches);
  const shown = Object.assign(part("pitches"), { width: heard.nColumns, height: 2 * nPitches });
  const pen = shown.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(pixels, 0, 0, ((nFrames * step) / seconds) * shown.width, shown.height); // the last frame may reach beyond
}

// Beside the rows: each word where its tokens are, unless the one before takes the room.
function rowLabels({ tokens, words = [] }) {
  const each = words.length ? words : tokens.map(({ text }, i) => ({ text, first: i, last: i + 1 }));
  const height = parseFloat(rows.style.height) / tokens.length;
  let free = -Infinity;
  return each.flatMap(({ text, first, last }) => {
    const y = ((first + last) / 2) * height;
    if (y - 7 < free) return [];
    free = y + 7;
    const label = node("span", text, { "data-first": first, "data-last": last });
    label.style.top = `${y}px`;
    return [label];
  });
}

// ---- weights

const columnsOf = (token) => columnsOfMap(mapOf(token));
const columnsOfMap = (map) =>
  alongTime(map, { ...trace().geometry, seconds: heard.seconds }, heard.nColumns, view.smooth);

// Thinner than over a picture, for a spectrogram is dark by itself.
// A fifth of a second: less than that is no syllable.
function momentAround(place) {
  const { step, n_places: n } = trace().geometry, half = Math.round(0.1 / step);
  const first = Math.max(place - half, 0), last = Math.min(place + half, n - 1);
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

function coverSilence(pen, columns) {
  pen.fillStyle = "rgb(128 128 128 / .94)";
  for (let place = 0; place < view.weights.nPlaces; place++) {
    const [from, to] = placeSpan(trace().geometry, place).map((second) => (second / heard.seconds) * columns);
    if (isGone(place)) pen.fillRect(from, 0, to - from, 1);
  }
}

function drawVeil() {
  const veil = Object.assign(part("veil"), { width: heard.nColumns, height: 1 });
  const map = shownMap(), pen = veil.getContext("2d");
  const shades = map && mapPixels(columnsOfMap(map), 0.8 * view.strength, shownMost(map));
  if (map) pen.putImageData(new ImageData(shades, heard.nColumns, 1), 0, 0);
  coverSilence(pen, heard.nColumns);
}

function drawCurve() {
  const curve = Object.assign(part("curve"), { width: heard.nColumns, height: 96 });
  const map = shownMap();
  if (!map) return;
  const columns = columnsOfMap(map), most = shownMost(map);
  const pen = curve.getContext("2d");
  pen.fillStyle = getComputedStyle(viewer).getPropertyValue("--hot");
  columns.forEach((weight, x) => pen.fillRect(x, 96 * (1 - weight / most), 1, 96));
}

// All tokens at once; drawn anew only when that would change it.
function drawMatrix() {
  const drawn = JSON.stringify([view.head, view.smooth, view.layer, view.scale]);
  if (heard.drawn === drawn || !hasMaps() || !trace().tokens.length) return;
  heard.drawn = drawn;
  const { tokens } = trace(), matrix = Object.assign(part("matrix"), { width: heard.nColumns, height: tokens.length });
  tokens.forEach((_, token) => {
    const columns = columnsOf(token), most = mostOf(token);
    const pixels = pixelsOf(columns, (weight) => colourAt(OPAQUE, Math.min(Math.max(weight / most, 0), 1)));
    matrix.getContext("2d").putImageData(new ImageData(pixels, heard.nColumns, 1), 0, token);
  });
}

// ---- what is pointed at

function drawMarks() {
  const at = current(), n = trace().tokens.length;
  span(part("place"), view.place === null || !hasMaps() ? null : placeSpan(trace().geometry, view.place));
  span(part("heard"), at === null ? null : sliceOf(at));
  part("row").hidden = at === null || !hasMaps();
  Object.assign(part("row").style, { top: `${(100 * at) / n}%`, height: `${100 / n}%` });
  for (const label of part("labels").children) {
    label.classList.toggle("on", at !== null && at >= label.dataset.first && at < label.dataset.last);
  }
  if (view.place === null && at !== null && heard.times[at]) reveal(heard.times[at][0]);
}

// Lays a mark over a stretch of time, or hides it.
function span(mark, stretch) {
  mark.hidden = stretch === null;
  if (!stretch) return;
  const [from, to] = stretch.map((second) => Math.min(Math.max(second / heard.seconds, 0), 1));
  Object.assign(mark.style, { left: `${100 * from}%`, width: `${100 * (to - from)}%` });
}

// Scrolls a long sound so that a moment is in sight.
function reveal(second) {
  const window = part("window"), x = (second / heard.seconds) * track.offsetWidth;
  if (x < window.scrollLeft || x > window.scrollLeft + window.clientWidth - 24) window.scrollLeft = x - window.clientWidth / 4;
}

function factsOf(token) {
  const word = wordOf(trace(), token);
  if (!word) return heard.times[token] ? [`heard at ${clock(heard.times[token][0], 2)}\u2009s`] : [];
  const during = (from, to) => `${clock(from, 2)} – ${clock(to, 2)}\u2009s`;
  const piece = word.last - word.first > 1 ? [`in “${word.text}”`] : [];
  return [...piece, `heard ${during(word.start, word.end)}`, ...(word.ctc ? [`CTC says ${during(...word.ctc)}`] : [])];
}

const secondOf = ({ clientX }) => {
  const { left, width } = track.getBoundingClientRect();
  return ((clientX - left) / width) * heard.seconds;
};

pointAt(track, (event) => placeAtTime(trace().geometry, secondOf(event)));
track.addEventListener("click", (event) => {
  const row = rows.contains(event.target) ? rowOf(event) : null;
  if (row === null) seek(secondOf(event));
  else pin(senses.sound.pick(row));
});

function rowOf({ clientY }) {
  const { top, height } = rows.getBoundingClientRect(), n = trace().tokens.length;
  return viewer.dataset.state === "ready" ? Math.min(Math.max(Math.floor(((clientY - top) / height) * n), 0), n - 1) : null;
}
